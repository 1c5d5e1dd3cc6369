package page

import (
	"slices"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// requests returns n requests in flight for a route.
func requests(n int, lane admission.Lane, route string, age time.Duration) []admission.InFlight {
	return slices.Repeat([]admission.InFlight{{Lane: lane, Route: route, Age: age}}, n)
}

func TestSay(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*facts)
		want   []Finding
	}{
		"nothing": {func(*facts) {}, []Finding{{OK, "All is well. 3 of 16 workers are busy, and nobody waits."}}},
		"one":     {func(f *facts) { f.snapshot.Gate.InUse, f.snapshot.Gate.Workers = 1, 1 }, []Finding{{OK, "All is well. 1 of 1 worker is busy, and nobody waits."}}},
		"clients that are held": {
			func(f *facts) { f.snapshot.Hold = &bridge.HoldSnapshot{Clients: 9000, Max: 20_000} },
			[]Finding{{OK, "All is well. 3 of 16 workers are busy, and nobody waits but 9000 held clients for news."}},
		},
		"nearly as many held clients as may be": {
			func(f *facts) { f.snapshot.Hold = &bridge.HoldSnapshot{Clients: 18_000, Max: 20_000, Waiting: 5} },
			[]Finding{{Warning, "18000 of 20000 clients are held that may be; more are refused."}},
		},
		"held clients that have missed something": {
			func(f *facts) {
				f.snapshot.Hold = &bridge.HoldSnapshot{Clients: 100, Max: 20_000, Recovering: 2, Waiting: 5}
			},
			[]Finding{{Notice, "5 held clients wait to be asked for again at the application, because messages were missed."}},
		},
		"long-polls": {
			func(f *facts) {
				f.snapshot.Gate.Long, f.snapshot.Gate.LongCap = 12, 12
				f.inFlight = append(requests(12, admission.Long, "GET stream /events?since", time.Minute), requests(2, admission.Short, "GET html /page", 0)...)
			},
			[]Finding{{Notice, "12 of 16 workers are held by long requests for /events; pages are not affected."}},
		},
		"long-polls of several routes, parked ones, and pages that wait": {
			func(f *facts) {
				g := &f.snapshot.Gate
				g.Long, g.LongCap, g.Waiting = 9, 9, 5
				g.Lanes = map[string]admission.LaneSnapshot{"long": {Waiting: 4}, "short": {Waiting: 1}}
				f.inFlight = append(requests(6, admission.Long, "GET any /events", time.Minute), requests(3, admission.Long, "GET any /poll", time.Minute)...)
			},
			[]Finding{{Warning, "9 of 16 workers are held by long requests, 6 of them for /events, and 4 more are parked; 1 short request waits."}},
		},
		"a session that waits for its own lock": {
			func(f *facts) {
				f.clients = []admission.ClientSnapshot{
					{ClientKey: "aaaa0001", InFlight: 1, Waiting: 2}, {ClientKey: "3f2a0000", InFlight: 4, Waiting: 9}, {ClientKey: "bbbb0002", InFlight: 9, Waiting: 20, Shared: true},
				}
			},
			[]Finding{{Notice, "Session 3f2a0000 holds 4 workers, and 9 of its requests wait for them."}},
		},
		"a stall": {
			func(f *facts) {
				f.snapshot.Gate.Stall = admission.StallSnapshot{
					State: "stalled", Since: noon.Add(-12 * time.Second),
					Held: slices.Concat(requests(3, admission.Short, "GET html /report", 12*time.Second), requests(1, admission.Short, "GET html /page", 12*time.Second),
						requests(2, admission.Short, "GET html /page", 5*time.Second)), // probes
				}
			},
			[]Finding{{Alarm, "The application has answered nobody for 12 s; 3 requests for /report were in flight when it stopped, and 1 other."}},
		},
		"the suspicion of one": {
			func(f *facts) {
				f.snapshot.Gate.Stall = admission.StallSnapshot{State: "suspected", Since: noon.Add(-1500 * time.Millisecond)}
			},
			[]Finding{{Warning, "The application has answered nobody for 1.5 s. One request at a time finds out whether it has stalled."}},
		},
		"its end": {
			func(f *facts) { f.snapshot.Gate.Stall.State = "recovering" },
			[]Finding{{Notice, "The application answers again after a stall. Requests are let in a few at a time."}},
		},
		"not reachable": {
			func(f *facts) {
				f.snapshot.Pool.Instances = []pool.InstanceSnapshot{{Addr: "unix:/run/a", State: "down", LastError: "connection refused"}}
			},
			[]Finding{{Alarm, "The application cannot be connected to at unix:/run/a (connection refused)."}},
		},
		"one of two is not": {
			func(f *facts) {
				f.snapshot.Pool.Instances = []pool.InstanceSnapshot{{Addr: "unix:/run/a", State: "down"}, {Addr: "unix:/run/b", State: "up"}, {State: "draining"}}
			},
			[]Finding{{Warning, "1 of 2 instances cannot be connected to, the last one at unix:/run/a."}},
		},
		"full": {
			func(f *facts) {
				f.snapshot.Gate.Capacity = 12
				f.snapshot.Pool.Instances = []pool.InstanceSnapshot{{State: "full"}}
			},
			[]Finding{{Warning, "The application is full with 12 requests at once, although it has 16 workers by the settings."}},
		},
		"busy": {
			func(f *facts) {
				f.snapshot.Gate.InUse = 16
				f.snapshot.Gate.Lanes = map[string]admission.LaneSnapshot{"short": {Waiting: 30}, "unknown": {Waiting: 10}}
				f.inFlight = append(requests(10, admission.Short, "GET html /search?q", 0), requests(6, admission.Short, "GET html /page", 0)...)
			},
			[]Finding{{Warning, "All 16 workers are busy, and 40 requests wait; 10 of the workers are at /search."}},
		},
		"refusals": {
			func(f *facts) { f.recent = []Point{{Refused: []int{5, 1, 0, 0, 0}}, {Refused: []int{0, 0, 0, 0, 0}}} },
			[]Finding{{Warning, "6 requests were refused in the last 2 s, 5 of them because as many wait as may."}},
		},
		"a crash loop": {
			func(f *facts) {
				f.snapshot.Processes = &supervise.Snapshot{CrashLoop: supervise.CrashLoopSnapshot{Active: true, LastMinute: 12, Exits: []supervise.Exit{{Status: 1}, {Status: -1, Signal: "killed"}}}}
			},
			[]Finding{{Alarm, "The application's processes end again and again, 12 times in the last minute; the last one with the signal killed."}},
		},
		"no process": {
			func(f *facts) {
				f.snapshot.Processes = &supervise.Snapshot{Breaker: "open", Instances: []supervise.InstanceSnapshot{{Next: noon.Add(5 * time.Minute)}}}
			},
			[]Finding{{Alarm, "No process of the application runs, because too many have ended one after the other. Requests are refused until the next start in 5 min."}},
		},
		"a process that has ended": {
			func(f *facts) {
				f.snapshot.InFlight = 2
				f.snapshot.Processes = &supervise.Snapshot{Instances: []supervise.InstanceSnapshot{{State: "waiting", LastExit: &supervise.Exit{Status: 3}, Next: noon.Add(2 * time.Second)}}}
			},
			[]Finding{{Warning, "No process of the application runs. The last one ended with exit status 3; the next is started in 2.0 s. 2 requests wait for it."}},
		},
		"the first start": {
			func(f *facts) {
				f.snapshot.Processes = &supervise.Snapshot{Instances: []supervise.InstanceSnapshot{{State: "starting", PID: 7}}}
			},
			[]Finding{{Warning, "The application is being started."}},
		},
		"memory of a process": {
			func(f *facts) {
				f.snapshot.Processes = &supervise.Snapshot{Memory: supervise.MemorySnapshot{Hard: 100}, Instances: []supervise.InstanceSnapshot{{State: "serving", PID: 7, Memory: 95}}}
			},
			[]Finding{{Warning, "The process 7 has used 95 % of the memory that it may."}},
		},
		"memory of all": {
			func(f *facts) {
				f.snapshot.Processes = &supervise.Snapshot{Memory: supervise.MemorySnapshot{Total: 1000, Used: 910}}
			},
			[]Finding{{Warning, "All processes together have used 91 % of the memory that they may."}},
		},
		"accept queue": {
			func(f *facts) {
				f.snapshot.Pool.Instances = []pool.InstanceSnapshot{{Addr: "unix:/run/a", State: "up", AcceptQueue: &pool.QueueSnapshot{Depth: 70, Backlog: 128}}}
			},
			[]Finding{{Warning, "At unix:/run/a, 70 connections have not been accepted yet; 128 fit the accept queue."}},
		},
		"abandoned": {
			func(f *facts) { f.snapshot.Abandoned = 5 },
			[]Finding{{Notice, "5 workers work for requests that nobody waits for any more."}},
		},
		"disk": {
			func(f *facts) { f.snapshot.Spool = spool.Stats{DiskError: "no space left on device"} },
			[]Finding{{Warning, "Large bodies and answers cannot be stored: no space left on device."}},
		},
		"several, the worst first": {
			func(f *facts) {
				f.draining, f.snapshot.InFlight = true, 3
				f.snapshot.Abandoned = 5
				f.snapshot.Pool.Instances = []pool.InstanceSnapshot{{Addr: "unix:/run/a", State: "down"}}
			},
			[]Finding{
				{Alarm, "The application cannot be connected to at unix:/run/a."},
				{Notice, "Sluice is draining: new requests are refused, and 3 requests are in progress."},
				{Notice, "5 workers work for requests that nobody waits for any more."},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &facts{now: noon, snapshot: &bridge.Snapshot{Gate: admission.Snapshot{
				Workers: 16, Capacity: 16, InUse: 3, LongCap: 12, Reserve: 4, Stall: admission.StallSnapshot{State: "none"},
			}}}
			c.change(f)
			if got := say(f); !slices.Equal(got, c.want) {
				t.Errorf("%+v\nwant %+v", got, c.want)
			}
		})
	}
}

package page

import (
	"slices"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/fleet"
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
		"nothing": {func(*facts) {}, []Finding{{Level: OK, Text: "All is well. 3 of 16 workers are busy, and nobody waits."}}},
		"one":     {func(f *facts) { f.snapshot.Gate.InUse, f.snapshot.Gate.Workers = 1, 1 }, []Finding{{Level: OK, Text: "All is well. 1 of 1 worker is busy, and nobody waits."}}},
		"clients that are held": {
			func(f *facts) { f.snapshot.Hold = &bridge.HoldSnapshot{Clients: 9000, Max: 20_000} },
			[]Finding{{Level: OK, Text: "All is well. 3 of 16 workers are busy, and nobody waits for a worker; 9000 clients are held until there is news."}},
		},
		"nearly as many held clients as may be": {
			func(f *facts) { f.snapshot.Hold = &bridge.HoldSnapshot{Clients: 18_000, Max: 20_000, Waiting: 5} },
			[]Finding{{Level: Warning, Text: "18000 of 20000 clients are held that may be; more are refused."}},
		},
		"held clients that have missed something": {
			func(f *facts) {
				f.snapshot.Hold = &bridge.HoldSnapshot{Clients: 100, Max: 20_000, Recovering: 2, Waiting: 5}
			},
			[]Finding{{Level: Notice, Text: "5 held clients wait to be asked for again at the application, because messages were missed."}},
		},
		"long-polls": {
			func(f *facts) {
				f.snapshot.Gate.Long, f.snapshot.Gate.LongCap = 12, 12
				f.inFlight = append(requests(12, admission.Long, "GET stream /events?since", time.Minute), requests(2, admission.Short, "GET html /page", 0)...)
			},
			[]Finding{{Level: Notice, Text: "12 of 16 workers are held by long requests for /events; pages are not affected."}},
		},
		"long-polls of several routes, parked ones, and pages that wait": {
			func(f *facts) {
				g := &f.snapshot.Gate
				g.Long, g.LongCap, g.Waiting = 9, 9, 5
				g.Lanes = map[string]admission.LaneSnapshot{"long": {Waiting: 4}, "short": {Waiting: 1}}
				f.inFlight = append(requests(6, admission.Long, "GET any /events", time.Minute), requests(3, admission.Long, "GET any /poll", time.Minute)...)
			},
			[]Finding{{Level: Warning, Text: "9 of 16 workers are held by long requests, 6 of them for /events, and 4 more are parked; 1 short request waits."}},
		},
		"a session that waits for its own lock": {
			func(f *facts) {
				f.clients = []admission.ClientSnapshot{
					{ClientKey: "aaaa0001", InFlight: 1, Waiting: 2}, {ClientKey: "3f2a0000", InFlight: 4, Waiting: 9}, {ClientKey: "bbbb0002", InFlight: 9, Waiting: 20, Shared: true},
				}
			},
			[]Finding{{Level: Notice, Text: "Session 3f2a0000 holds 4 workers, and 9 of its requests wait for them."}},
		},
		"a stall": {
			func(f *facts) {
				f.snapshot.Gate.Stall = admission.StallSnapshot{
					State: "stalled", Since: noon.Add(-12 * time.Second),
					Held: slices.Concat(requests(3, admission.Short, "GET html /report", 12*time.Second), requests(1, admission.Short, "GET html /page", 12*time.Second),
						requests(2, admission.Short, "GET html /page", 5*time.Second)), // probes
				}
			},
			[]Finding{{Level: Alarm, Text: "The application has answered nobody for 12 s; 3 requests for /report were in flight when it stopped, and 1 other.", Fault: true}},
		},
		"the suspicion of one": {
			func(f *facts) {
				f.snapshot.Gate.Stall = admission.StallSnapshot{State: "suspected", Since: noon.Add(-1500 * time.Millisecond)}
			},
			[]Finding{{Level: Warning, Text: "The application has answered nobody for 1.5 s. One request at a time finds out whether it has stalled."}},
		},
		"its end": {
			func(f *facts) { f.snapshot.Gate.Stall.State = "recovering" },
			[]Finding{{Level: Notice, Text: "The application answers again after a stall. Requests are let in a few at a time."}},
		},
		"not reachable": {
			func(f *facts) {
				f.snapshot.Pool.Instances = []pool.InstanceSnapshot{{Addr: "unix:/run/a", State: "down", Limit: 16, LastError: "connection refused"}}
			},
			[]Finding{{Level: Alarm, Text: "The application cannot be connected to at unix:/run/a (connection refused).", Fault: true}},
		},
		"one of two is not": {
			func(f *facts) {
				f.snapshot.Pool.Instances = []pool.InstanceSnapshot{{Addr: "unix:/run/a", State: "down", Limit: 8}, {Addr: "unix:/run/b", State: "up", Limit: 8}, {State: "draining"}}
			},
			[]Finding{{Level: Warning, Text: "1 of 2 instances cannot be connected to, the last one at unix:/run/a.", Fault: true}},
		},
		"full": {
			func(f *facts) {
				f.snapshot.Gate.Capacity = 12
				f.snapshot.Pool.Instances = []pool.InstanceSnapshot{{State: "full", Limit: 16}}
			},
			[]Finding{{Level: Warning, Text: "The application is full with 12 requests at once, although it has 16 workers by the settings.", Fault: true}},
		},
		"busy": {
			func(f *facts) {
				f.snapshot.Gate.InUse = 16
				f.snapshot.Gate.Lanes = map[string]admission.LaneSnapshot{"short": {Waiting: 30}, "unknown": {Waiting: 10}}
				f.inFlight = append(requests(10, admission.Short, "GET html /search?q", 0), requests(6, admission.Short, "GET html /page", 0)...)
			},
			[]Finding{{Level: Warning, Text: "All 16 workers are busy, and 40 requests wait; 10 of the workers are at /search."}},
		},
		"refusals": {
			func(f *facts) { f.recent = []Point{{Refused: []int{5, 1, 0, 0, 0}}, {Refused: []int{0, 0, 0, 0, 0}}} },
			[]Finding{{Level: Warning, Text: "6 requests were refused in the last 2 s, 5 of them because as many wait as may."}},
		},
		"upgrades that are refused": {
			func(f *facts) { f.recent = []Point{{Refused: []int{0, 0, 0, 0, 0, 3}}} },
			[]Finding{{Level: Warning, Text: "3 requests were refused in the last 1 s because as many connections are upgraded as may be."}},
		},
		"an authorizer that is away": {
			func(f *facts) {
				f.snapshot.Authorizer = &bridge.AuthorizerSnapshot{Addr: "127.0.0.1:9001", State: "down", LastError: "connection refused"}
			},
			[]Finding{{Level: Alarm, Text: "The authorizer cannot be connected to at 127.0.0.1:9001 (connection refused). What it is asked about is refused.", Fault: true}},
		},
		"an authorizer that is there": {
			func(f *facts) { f.snapshot.Authorizer = &bridge.AuthorizerSnapshot{State: "up"} },
			[]Finding{{Level: OK, Text: "All is well. 3 of 16 workers are busy, and nobody waits."}},
		},
		"an upgrade": {
			func(f *facts) { f.snapshot.Pool.Instances = []pool.InstanceSnapshot{{Workers: 16, Limit: 4}} },
			[]Finding{{Level: Notice, Text: "12 of 16 workers are left to the process before this one, until its requests end."}},
		},
		"an engine that is away": {
			func(f *facts) {
				f.snapshot.Fleet = &fleet.State{Status: fleet.Alone, Share: 8, Error: "connection refused"}
			},
			[]Finding{{Level: Warning, Text: "The fleet's engine cannot be reached (connection refused); this gate uses no more than its share, 8 workers.", Fault: true}},
		},
		"a crash loop": {
			func(f *facts) {
				f.snapshot.Processes = &supervise.Snapshot{CrashLoop: supervise.CrashLoopSnapshot{Active: true, LastMinute: 12, Exits: []supervise.Exit{{Status: 1}, {Status: -1, Signal: "killed"}}}}
			},
			[]Finding{{Level: Alarm, Text: "The application's processes end again and again, 12 times in the last minute; the last one with the signal killed. The log has its last output.", Fault: true}},
		},
		"no process": {
			func(f *facts) {
				f.snapshot.Processes = &supervise.Snapshot{Breaker: "open", Instances: []supervise.InstanceSnapshot{{Next: noon.Add(5 * time.Minute)}}}
			},
			[]Finding{{Level: Alarm, Text: "No process of the application runs, because too many have ended one after the other. Requests are refused until the next start in 5 min. The log has its last output.", Fault: true}},
		},
		"a process that has ended": {
			func(f *facts) {
				f.snapshot.InFlight = 2
				f.snapshot.Processes = &supervise.Snapshot{Instances: []supervise.InstanceSnapshot{{State: "waiting", LastExit: &supervise.Exit{Status: 3}, Next: noon.Add(2 * time.Second)}}}
			},
			[]Finding{{Level: Warning, Text: "No process of the application runs. The last one ended with exit status 3; the next is started in 2.0 s. 2 requests wait for it."}},
		},
		"the first start": {
			func(f *facts) {
				f.snapshot.Processes = &supervise.Snapshot{Instances: []supervise.InstanceSnapshot{{State: "starting", PID: 7}}}
			},
			[]Finding{{Level: Warning, Text: "The application is being started."}},
		},
		"memory of a process": {
			func(f *facts) {
				f.snapshot.Processes = &supervise.Snapshot{Memory: supervise.MemorySnapshot{Hard: 100}, Instances: []supervise.InstanceSnapshot{{State: "serving", PID: 7, Memory: 95}}}
			},
			[]Finding{{Level: Warning, Text: "The process 7 has used 95 % of the memory that it may."}},
		},
		"memory of all": {
			func(f *facts) {
				f.snapshot.Processes = &supervise.Snapshot{Memory: supervise.MemorySnapshot{Total: 1000, Used: 910}}
			},
			[]Finding{{Level: Warning, Text: "All processes together have used 91 % of the memory that they may."}},
		},
		"accept queue": {
			func(f *facts) {
				f.snapshot.Pool.Instances = []pool.InstanceSnapshot{{Addr: "unix:/run/a", State: "up", Limit: 16, AcceptQueue: &pool.QueueSnapshot{Depth: 70, Backlog: 128}}}
			},
			[]Finding{{Level: Warning, Text: "At unix:/run/a, 70 connections have not been accepted yet; 128 fit the accept queue."}},
		},
		"abandoned": {
			func(f *facts) { f.snapshot.Abandoned = 5 },
			[]Finding{{Level: Notice, Text: "5 workers work for requests that nobody waits for any more."}},
		},
		"disk": {
			func(f *facts) { f.snapshot.Spool = spool.Stats{DiskError: "no space left on device"} },
			[]Finding{{Level: Warning, Text: "Large bodies and answers cannot be stored: no space left on device. Make room.", Fault: true}},
		},
		"several, the worst first": {
			func(f *facts) {
				f.snapshot.Abandoned = 5
				f.snapshot.Pool.Instances = []pool.InstanceSnapshot{{Addr: "unix:/run/a", State: "down", Limit: 16}}
			},
			[]Finding{
				{Level: Alarm, Text: "The application cannot be connected to at unix:/run/a.", Fault: true},
				{Level: Notice, Text: "5 workers work for requests that nobody waits for any more."},
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

// Each reason for a refusal has words.
func TestReasonsHaveWords(t *testing.T) {
	for _, reason := range admission.Reasons() {
		if reasonTexts[reason] == "" {
			t.Errorf("no words for %q", reason)
		}
	}
}

// What is the matter in front is that of all applications.
func TestSayFront(t *testing.T) {
	in := func(d time.Duration) *time.Time { return new(noon.Add(d)) }
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		front Front
		want  []Finding
	}{
		"nothing":            {Front{Connections: 900, Idle: 800, Max: 1000, Certificates: []Certificate{{Names: []string{"a.example"}, Expires: in(60 * day)}}}, nil},
		"draining":           {Front{Draining: true}, []Finding{{Level: Notice, Text: "Sluice is draining: new requests are refused, and those in progress may finish.", Fault: true}}},
		"no connection left": {Front{Connections: 1000, Idle: 20, Max: 1000}, []Finding{{Level: Warning, Text: "980 of the 1000 connections that clients may have are in use; more have to wait."}}},
		"certificates": {
			Front{Certificates: []Certificate{
				{Names: []string{"a.example", "b.example"}, Expires: in(3 * day)},
				{Names: []string{"c.example"}, Expires: in(-5 * time.Hour), Error: "the files have changed, and cannot be used"},
				{Names: []string{"d.example"}, Expires: in(10 * day), Renewed: true},
				{Names: []string{"e.example"}, Expires: in(30 * time.Hour), Renewed: true, Error: "no such host"},
				{Names: []string{"f.example"}, Renewed: true},
				{Names: []string{"g.example"}, Renewed: true, Error: "no such host"},
				{Names: []string{"h.example"}, Expires: in(60 * day), Error: "it is revoked"},
			}},
			[]Finding{
				{Level: Alarm, Text: "The certificate for c.example has expired 5 h ago (the files have changed, and cannot be used).", Fault: true},
				{Level: Alarm, Text: "The certificate for g.example could not be obtained (no such host).", Fault: true},
				{Level: Warning, Text: "The certificate for a.example, b.example expires in 3 days."},
				{Level: Warning, Text: "The certificate for e.example expires in 30 h (no such host)."},
				{Level: Warning, Text: "The certificate for h.example: it is revoked."},
				{Level: Notice, Text: "The certificate for f.example is being obtained."},
			},
		},
	} {
		if got := c.front.say(noon); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v\nwant %+v", name, got, c.want)
		}
	}
}

// The workers that others have - other gates of a fleet, the process before this one - are not idle here.
func TestWorkersElsewhere(t *testing.T) {
	s := &bridge.Snapshot{
		Gate: admission.Snapshot{Workers: 32, Capacity: 30, Reserve: 4},
		Pool: pool.Snapshot{Instances: []pool.InstanceSnapshot{{Workers: 16, Limit: 5}, {Workers: 16, Limit: 5}}},
	}
	want := Workers{All: 32, Idle: 7, Short: 3, Missing: 2, Elsewhere: 20, Reserve: 4}
	if got := workersOf(s, requests(3, admission.Short, "GET any /", 0)); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	s.Pool.Instances[0].Limit, s.Pool.Instances[1].Limit = 16, 16
	want.Idle, want.Elsewhere = 27, 0
	if got := workersOf(s, requests(3, admission.Short, "GET any /", 0)); got != want {
		t.Errorf("alone: %+v, want %+v", got, want)
	}
}

package bridge

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// habit is something that real applications do, what is asked of one, and what must
// come of it. What other tests have is not here.
type habit struct {
	name     string
	config   Config
	script   fcgitest.Script
	requests func(*rig) // and what their clients get

	kept     int // connections that are kept then
	accepted int // connections that there have been; 0: however many
	counters func(pool.InstanceSnapshot) bool
}

const (
	// lingering is how long the pool waits for an application to close a connection
	// that was used for one request.
	lingering = time.Second
	// slack is what the pool's looking at connections may take before a POST is sent.
	slack = 50 * time.Millisecond
)

// TestHabits asks applications that have the habits of real ones.
func TestHabits(t *testing.T) {
	for _, list := range [][]habit{habitsOfPHP(), habitsOfPHPElsewhere(), habitsOfServers(), habitsOfMultiplexers()} {
		for _, h := range list {
			t.Run(h.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					if h.config.Preset == "php" {
						h.config.Root = t.TempDir()
						if err := os.WriteFile(filepath.Join(h.config.Root, "index.php"), nil, 0o644); err != nil {
							t.Fatal(err)
						}
					}
					r := newRig(t, h.config, h.script)
					h.requests(r)
					r.wantKept(h.kept)
					if n := r.peer.Accepted(); n != h.accepted && h.accepted > 0 {
						t.Errorf("%d connections were made, want %d", n, h.accepted)
					}
					if in := r.b.Snapshot().Pool.Instances[0]; h.counters != nil && !h.counters(in) {
						t.Errorf("snapshot %+v", in)
					}
				})
			})
		}
	}
}

// page answers with Page, at once; pageAfter after a while.
var (
	page      = pageAfter(0)
	pageAfter = func(d time.Duration) func(*fcgitest.Session, *fcgitest.Request) {
		return func(s *fcgitest.Session, r *fcgitest.Request) {
			s.HoldFor(d)
			s.Send(fcgitest.Out(r.ID, fcgitest.Page), fcgitest.End(r.ID))
		}
	}
)

// elsewhere is the unread of a kernel that sees nothing of the application.
func elsewhere(net.Conn) pool.Unread { return nil }

// habitsOfPHPElsewhere are those that are different when it is on another machine, and is
// asked whether it is back after each answer.
func habitsOfPHPElsewhere() []habit {
	php := Config{ApplicationConfig: ApplicationConfig{Preset: "php", Workers: 2}, ApplicationHooks: ApplicationHooks{unread: elsewhere}}
	return []habit{
		{
			name:   "elsewhere, max_requests: what is asked finds a dead connection before a GET is sent",
			config: php, script: fcgitest.MaxRequests(3),
			requests: func(r *rig) { r.wantInTurn("GET", 0, 1, 1, 1, 1, 1, 1, 1) },
			kept:     1, accepted: 3,
			counters: func(in pool.InstanceSnapshot) bool { return in.Stale == 2 && in.Replays["stale"] == 0 },
		},
		{
			name:   "elsewhere, fastcgi_finish_request: the next request waits, if that is the only process",
			config: Config{ApplicationConfig: ApplicationConfig{Preset: "php", Workers: 1}, ApplicationHooks: ApplicationHooks{unread: elsewhere}}, script: fcgitest.WorksOn(time.Second),
			requests: func(r *rig) { r.wantPages(3, "GET", 2*time.Second) },
			kept:     1, accepted: 1,
			counters: func(in pool.InstanceSnapshot) bool { return in.WorkedOn > 0 },
		},
		{
			name:   "elsewhere, fastcgi_finish_request: the next request goes to another process",
			config: php, script: fcgitest.WorksOn(time.Second),
			requests: inNoTime(2),
			kept:     2, accepted: 2,
		},
	}
}

func habitsOfPHP() []habit {
	php := Config{ApplicationConfig: ApplicationConfig{Preset: "php", Workers: 2}}
	return []habit{
		{
			name:   "a process per connection, and no more clients than processes",
			config: php, script: fcgitest.Processes(2, pageAfter(time.Second)),
			requests: func(r *rig) { r.wantPages(6, "GET", 3*time.Second) },
			kept:     2, accepted: 2,
		},
		{
			name:   "keep_alive off: a process is free when its connection is closed, which is at once",
			config: Config{ApplicationConfig: ApplicationConfig{Preset: "php", Workers: 1, KeepAlive: Off}}, script: fcgitest.Processes(1, page),
			requests: func(r *rig) { r.wantPages(3, "POST", 0) },
			accepted: 3,
		},
		{
			name:   "max_requests, GET: a dead connection costs an attempt",
			config: php, script: fcgitest.MaxRequests(3),
			requests: func(r *rig) { r.wantInTurn("GET", 0, 1, 1, 1, 2, 1, 1, 2) },
			kept:     1, accepted: 3,
			counters: func(in pool.InstanceSnapshot) bool { return in.Replays["stale"] == 2 && in.TurnedAway == 0 },
		},
		{
			name:   "max_requests, POST at once: each takes no chance",
			config: php, script: fcgitest.MaxRequests(3),
			requests: func(r *rig) { r.wantInTurn("POST", 0, 1, 1, 1, 1, 1) },
			kept:     2, accepted: 5,
			counters: func(in pool.InstanceSnapshot) bool { return in.Replays["stale"] == 0 },
		},
		{
			name:   "max_requests, POST after a while: it is known that nothing was to be sent",
			config: php, script: fcgitest.MaxRequests(3),
			requests: func(r *rig) { r.wantInTurn("POST", time.Second, 1, 1, 1, 2) },
			kept:     1, accepted: 2,
		},
		{
			name:   "reload: idle connections end",
			config: php, script: fcgitest.Processes(2, page),
			requests: func(r *rig) {
				for _, method := range []string{"GET", "POST"} {
					r.wantPage(r.do(method, "/index.php", nil))
					time.Sleep(time.Second)
					r.peer.Reload()
					r.wantInTurn(method, 0, 2)
				}
			},
			kept: 2, accepted: 4, // one of those kept is dead, and will be noticed when it is looked at
		},
		{
			name:   "reload: requests in progress are lost, those in the backlog are not",
			config: Config{ApplicationConfig: ApplicationConfig{Preset: "php", Workers: 3}}, script: fcgitest.Processes(1, pageAfter(time.Second)),
			requests: func(r *rig) {
				lost := r.start("GET", "/index.php", nil)
				queued := r.start("POST", "/index.php", strings.NewReader("body"))
				r.peer.Reload()
				r.wantError(lost(), 502, errIncomplete)
				r.wantPage(queued())
			},
			kept: 1, accepted: 2,
		},
		{
			name:   "fastcgi_finish_request: the next request on the connection waits",
			config: Config{ApplicationConfig: ApplicationConfig{Preset: "php", Workers: 1}}, script: fcgitest.WorksOn(time.Second),
			requests: func(r *rig) { r.wantPages(3, "GET", 2*time.Second) },
			kept:     1, accepted: 1,
		},
		{
			name:   "fastcgi_finish_request: the next request goes to another process",
			config: php, script: fcgitest.WorksOn(time.Second),
			requests: inNoTime(2),
			kept:     2, accepted: 2,
			counters: func(in pool.InstanceSnapshot) bool { return in.WorkedOn > 0 },
		},
	}
}

// inNoTime makes n requests one after the other, none of which waits for a process that
// works on, and waits until all are back.
func inNoTime(n int) func(*rig) {
	return func(r *rig) {
		begun := time.Now()
		for range n {
			r.wantPages(1, "GET", 0)
		}
		if d := time.Since(begun); d > slack {
			r.t.Errorf("%d requests took %v", n, d)
		}
		time.Sleep(2 * time.Second)
	}
}

func habitsOfServers() []habit {
	return []habit{
		{
			name:   "flup, as many threads as workers",
			config: Config{ApplicationConfig: ApplicationConfig{Workers: 3}}, script: fcgitest.Threads(3, time.Millisecond, pageAfter(time.Second)),
			requests: func(r *rig) { r.wantPages(9, "POST", 3*time.Second) },
			kept:     3, accepted: 3,
			counters: func(in pool.InstanceSnapshot) bool { return in.TurnedAway == 0 && in.State == "up" },
		},
		{
			name:   "flup, fewer threads than workers: what is turned away comes again, and it is known",
			config: Config{ApplicationConfig: ApplicationConfig{Workers: 3}}, script: fcgitest.Threads(2, time.Millisecond, pageAfter(time.Second/2)),
			requests: func(r *rig) {
				r.wantPages(1, "GET", time.Second/2)
				r.wantPages(8, "POST", 2*time.Second)
			},
			kept: 2,
			counters: func(in pool.InstanceSnapshot) bool {
				return in.TurnedAway > 0 && in.Observed == 2 && in.State == "full"
			},
		},
		{
			name:   "flup, keep_alive off: a thread is not free when its answer has ended",
			config: Config{ApplicationConfig: ApplicationConfig{Workers: 1, KeepAlive: Off}}, script: fcgitest.Threads(1, time.Millisecond, page),
			requests: func(r *rig) { r.wantInTurn("POST", 0, 1, 1, 1, 1); time.Sleep(lingering) },
			accepted: 4,
			counters: func(in pool.InstanceSnapshot) bool { return in.TurnedAway == 0 },
		},
		{
			name:   "uWSGI closes after each answer: three times, and it is expected",
			config: Config{ApplicationConfig: ApplicationConfig{Workers: 2}}, script: fcgitest.CloseAfterEnd,
			requests: func(r *rig) { r.wantInTurn("GET", time.Second, 1, 2, 2, 2, 1, 1) },
			accepted: 6,
			counters: func(in pool.InstanceSnapshot) bool { return in.ClosesAlways && in.Replays["stale"] == 3 },
		},
		{
			name:   "uWSGI stalls on large parameters",
			config: Config{ApplicationConfig: ApplicationConfig{Workers: 2}}, script: fcgitest.SmallParams(4096, 4*time.Second),
			requests: func(r *rig) {
				r.wantPage(r.get("/"))
				req, err := http.NewRequest("POST", "http://app.test/", nil)
				if err != nil {
					r.t.Fatal(err)
				}
				req.Header.Set("Cookie", strings.Repeat("x", 4000))
				re := r.send(req)
				r.wantError(re, 502, errIncomplete)
				if re.after < 4*time.Second || re.after > 4*time.Second+slack {
					r.t.Errorf("after %v", re.after)
				}
			},
			accepted: 1,
		},
		{
			name:   "libfcgi closes where a body was not read",
			config: Config{ApplicationConfig: ApplicationConfig{Workers: 2}}, script: fcgitest.BodyUnreadClosed,
			requests: func(r *rig) {
				for range 3 {
					r.wantPage(r.post("/", strings.Repeat("x", 256<<10)))
				}
			},
			accepted: 3,
		},
		{
			name:   "libfcgi holds a lock until a new connection has spoken",
			config: Config{ApplicationConfig: ApplicationConfig{Workers: 8}}, script: fcgitest.AcceptMutex(pageAfter(time.Second)),
			requests: func(r *rig) {
				leave := r.startLeaving("GET", "/", nil)
				leave()
				r.wantPages(7, "POST", time.Second)
				time.Sleep(time.Second)
			},
			kept: 8, accepted: 8,
		},
		{
			name:   "ABORT_REQUEST would cost the connection: it is not sent on one that is not shared",
			config: Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, script: fcgitest.AbortsDeadly(fcgitest.AnswerAfter(time.Second, fcgitest.Page)),
			requests: func(r *rig) {
				r.startLeaving("GET", "/", nil)()
				r.wantPages(1, "POST", 2*time.Second-watchAfter)
			},
			kept: 1, accepted: 1,
		},
		{
			name:   "a restart: requests wait for it",
			config: Config{ApplicationConfig: ApplicationConfig{Workers: 2}}, script: fcgitest.Hello,
			requests: func(r *rig) {
				r.wantPage(r.get("/"))
				r.peer.Stop()
				get, post := r.start("GET", "/", nil), r.start("POST", "/", strings.NewReader("body"))
				time.Sleep(time.Second)
				r.peer.Resume()
				r.wantPage(get())
				r.wantPage(post())
			},
			kept: 2, accepted: 3,
			counters: func(in pool.InstanceSnapshot) bool { return in.State == "up" && in.Replays["stale"] == 1 },
		},
	}
}

func habitsOfMultiplexers() []habit {
	shared := Config{ApplicationConfig: ApplicationConfig{Workers: 8, Multiplex: On}}
	return []habit{
		{
			name:   "Go ends an aborted request twice",
			config: shared, script: fcgitest.MuxAbortTail(time.Second),
			requests: func(r *rig) {
				r.startLeaving("GET", "/left", nil)()
				for range 3 {
					if re := r.get("/stays"); re.body != "uri=/stays" || re.err != nil {
						r.t.Errorf("%d %q %v", re.status, re.body, re.err)
					}
				}
			},
			kept: 1, accepted: 1,
			counters: func(in pool.InstanceSnapshot) bool { return in.Discarded == 0 },
		},
		{
			name:   "ABORT_REQUEST is ignored: the worker is charged, the connection lives",
			config: shared, script: fcgitest.MuxIgnoresAbort,
			requests: func(r *rig) {
				r.startLeaving("GET", "/left", nil)()
				if s := r.b.Snapshot(); s.Pool.Instances[0].Zombies != 1 || s.Gate.InUse != 1 {
					r.t.Errorf("snapshot %+v, want a zombie", s)
				}
				r.b.cfg.Timeouts.FirstByte = Duration(time.Hour)
				r.wantPages(1, "GET", time.Minute)
			},
			kept: 1, accepted: 1,
		},
		{
			name:   "libfcgi refuses a second request on a connection",
			config: shared, script: fcgitest.CantMpx,
			requests: func(r *rig) { r.wantPages(4, "POST", 100*time.Millisecond) },
			kept:     3, accepted: 4,
			counters: func(in pool.InstanceSnapshot) bool { return in.Multiplex == "off" && in.Replays["cant_multiplex"] > 0 },
		},
		{
			name:   "some requests at once, the others are overloaded",
			config: shared, script: fcgitest.MuxOverloaded(3),
			requests: func(r *rig) { r.wantPages(8, "POST", 0) },
			kept:     1, accepted: 1,
			counters: func(in pool.InstanceSnapshot) bool { return in.Replays["overloaded"] > 0 && in.Observed == 3 },
		},
		{
			name:   "it dies in the middle of an answer: that request fails alone",
			config: shared, script: fcgitest.MuxDies(1),
			requests: func(r *rig) {
				r.wantPage(r.get("/"))
				r.wantError(r.get("/"), 502, errIncomplete)
				r.wantPage(r.get("/"))
			},
			kept: 1, accepted: 2,
		},
		{
			name:   "it closes in the middle of a record",
			config: shared, script: fcgitest.MuxCutRecord,
			requests: func(r *rig) { r.wantError(r.post("/", "body"), 502, errIncomplete) },
			accepted: 1,
		},
		{
			name:   "it answers a request that nobody made: nothing of the connection is believed",
			config: shared, script: fcgitest.MuxStray,
			requests: func(r *rig) { r.wantError(r.post("/", "body"), 502, errProtocol) },
			accepted: 1,
		},
		{
			name:   "it ends requests twice",
			config: shared, script: fcgitest.MuxFreedStray,
			requests: func(r *rig) {
				for range 5 {
					if re := r.get("/x"); re.body != "uri=/x" || re.err != nil {
						r.t.Errorf("%d %q %v", re.status, re.body, re.err)
					}
				}
			},
			kept: 1, accepted: 1,
		},
		{
			name:   "it stops reading",
			config: Config{ApplicationConfig: ApplicationConfig{Workers: 8, Multiplex: On}, SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{FirstByte: Duration(time.Second)}}}, script: fcgitest.MuxDeafTo(1),
			requests: func(r *rig) {
				r.wantPage(r.get("/"))
				r.wantError(r.get("/"), 504, errTimeout)
				time.Sleep(30 * time.Second) // Timeouts.Abandoned
			},
			kept: 1, accepted: 1,
		},
	}
}

// wantPages makes n requests at once that must all be answered, the last of them
// after a certain time, unless that is 0.
func (r *rig) wantPages(n int, method string, after time.Duration) {
	r.t.Helper()
	path := "/"
	if r.b.cfg.preset == "php" {
		path = "/index.php"
	}
	begun := time.Now()
	var all sync.WaitGroup
	for range n {
		all.Go(func() { r.wantPage(r.do(method, path, strings.NewReader(strings.Repeat("x", len(method)-3)))) }) // a POST has a body
	}
	all.Wait()
	if d := time.Since(begun); after > 0 && (d < after || d > after+slack) {
		r.t.Errorf("%d requests took %v, want %v", n, d, after)
	}
}

// wantInTurn makes requests one after the other, with pauses between them, that must
// all be answered, each in so many attempts.
func (r *rig) wantInTurn(method string, pause time.Duration, attempts ...int) {
	r.t.Helper()
	for i, want := range attempts {
		if i > 0 {
			time.Sleep(pause)
		}
		r.wantPages(1, method, 0)
		if o := r.outcome(); o.Attempts != want {
			r.t.Errorf("request %d took %d attempts, want %d", i+1, o.Attempts, want)
		}
	}
}

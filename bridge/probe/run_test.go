package probe

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// run probes a peer as far as ten connections, or as change has it.
func run(t *testing.T, peer *fcgitest.Peer, change func(*Config)) (*Report, error) {
	t.Helper()
	w := &watch{dial: peer.Dial}
	cfg := Config{Address: "app", Dial: w.Dial, Max: 10}
	if change != nil {
		change(&cfg)
	}
	r, err := Run(t.Context(), cfg)
	synctest.Wait()
	w.check(t, cfg.Max)
	for _, r := range peer.Requests() {
		if r.Param("REQUEST_METHOD") != "GET" || len(r.Stdin) > 0 {
			t.Errorf("a request that may do harm: %s, %d bytes of body", r.Param("REQUEST_METHOD"), len(r.Stdin))
		}
	}
	return r, err
}

func hello(s *fcgitest.Session, r *fcgitest.Request) {
	s.Send(fcgitest.Out(r.ID, fcgitest.Page), fcgitest.End(r.ID))
}

// overAt answers FCGI_OVERLOADED to connections from the nth on.
func overAt(n int) fcgitest.Script {
	var mu sync.Mutex
	open := 0
	return func(s *fcgitest.Session) {
		mu.Lock()
		open++
		over := open > n
		mu.Unlock()
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			open--
		}()
		if over {
			fcgitest.Refuse(fcgitest.Overloaded)(s)
		}
		fcgitest.Hello(s)
	}
}

// overtaken serves a request that is complete before an earlier one with f, and
// all others with hello.
func overtaken(f func(*fcgitest.Session, *fcgitest.Request)) fcgitest.Script {
	return func(s *fcgitest.Session) {
		var first atomic.Uint32
		fcgitest.Multiplexed(func(s *fcgitest.Session, r *fcgitest.Request) {
			if first.CompareAndSwap(0, uint32(r.ID)) && r.ID > 1 {
				f(s, r)
				return
			}
			hello(s, r)
		})(s)
	}
}

var (
	inTurn = overtaken(func(s *fcgitest.Session, r *fcgitest.Request) {
		s.HoldFor(1500 * time.Millisecond)
		hello(s, r)
	})
	losing = overtaken(func(*fcgitest.Session, *fcgitest.Request) {})
)

// onceTwice ends the first request of a connection twice, and answers no other.
func onceTwice(s *fcgitest.Session) {
	r := s.Request()
	s.Send(slices.Concat(fcgitest.Out(r.ID, fcgitest.Page), fcgitest.End(r.ID), fcgitest.End(r.ID)))
	s.Gone()
}

// What applications do, and what the report says of it.
func TestBehaviours(t *testing.T) {
	for _, c := range []struct {
		name     string
		script   fcgitest.Script
		values   func(*fcgitest.Session, []string)
		want     string // the report in short, see brief
		settings Settings
		workers  int    // that are advised
		warning  string // a part of the only one
	}{
		{
			name: "PHP", script: fcgitest.Processes(3, hello), values: fcgitest.ValuesPHP,
			want:     "0 2 2 usable, kept, waits, no multiplexing, 3 waits",
			settings: Settings{Workers: 64, KeepAlive: "on", Multiplex: "auto"}, workers: 3,
			warning: "--workers 64 is more than the 3 connections this backend serves at once",
		},
		{
			name: "one process", script: fcgitest.Processes(1, hello), values: fcgitest.ValuesNo,
			want:     "0   usable, kept, waits, no multiplexing, 1 waits",
			settings: Settings{Workers: 1, KeepAlive: "off"}, workers: 1,
			warning: "--keep-alive off costs a connection per request",
		},
		{
			name: "flup", script: fcgitest.Threads(5, time.Millisecond, hello), values: fcgitest.ValuesEmpty,
			want:     "   usable, kept, stays open, no multiplexing, 5 closes",
			settings: Settings{Workers: 64}, workers: 5,
			warning: "--workers 64 is more than the 5 connections this backend took before it closed one",
		},
		{
			name: "a thread per connection", script: fcgitest.Hello, values: fcgitest.ValuesNo,
			want:     "0   usable, kept, stays open, no multiplexing, 10 not seen",
			settings: Settings{Workers: 11},
			warning:  "--workers 11 is more than was tried: no limit was seen up to 10 connections",
		},
		{
			name: "OVERLOADED", script: overAt(4), values: fcgitest.ValuesNo,
			want:     "0   usable, kept, stays open, no multiplexing, 4 overloaded",
			settings: Settings{Workers: 5}, workers: 4,
			warning: "--workers 5 is more than the 4 connections this backend took before it answered OVERLOADED",
		},
		{
			name: "uWSGI", script: fcgitest.CloseAfterEnd, values: fcgitest.ValuesSilent,
			want:     "? ? ? ?, closed, closes, no multiplexing, ?",
			settings: Settings{Workers: 64, KeepAlive: "on"},
			warning:  "--keep-alive on has no effect",
		},
		{
			name: "it answers a connection once", script: fcgitest.First(fcgitest.Page, (*fcgitest.Session).Hold), values: fcgitest.ValuesNo,
			want:     "0   usable, stalled, stays open, no multiplexing, ?",
			settings: Settings{}, workers: DefaultMax,
			warning: "how many requests it holds could not be tried, because an idle connection stops it; --workers 256 is a guess",
		},
		{
			name: "it says what it holds", script: fcgitest.Hello, values: fcgitest.ValuesOf(fcgitest.Param{Name: fcgi.MaxConns, Value: "7"}),
			want:     " 7  usable, kept, stays open, no multiplexing, 10 not seen",
			settings: Settings{}, workers: 7,
			warning: "no limit was seen up to 10 connections; --workers 7 is what it says of itself (FCGI_MAX_CONNS)",
		},
		{
			name: "it closes on the second request", script: fcgitest.First(fcgitest.Page, func(s *fcgitest.Session) { s.Head() }), values: fcgitest.ValuesNo,
			want:     "0   usable, closed, stays open, no multiplexing, ?",
			settings: Settings{Multiplex: "on"},
			warning:  "does not say that it multiplexes (FCGI_MPXS_CONNS is 0)",
		},
		{
			name: "Go", script: fcgitest.Multiplexed(hello), values: fcgitest.ValuesYes,
			want:     "1   usable, kept, stays open, works, 10 not seen",
			settings: Settings{Workers: 10, Multiplex: "off"},
			warning:  "--multiplex off: this backend multiplexes",
		},
		{
			name: "it says that it multiplexes", script: fcgitest.CantMpx, values: fcgitest.ValuesTrac,
			want:     "1 20000 100000 usable, kept, stays open, refused, 10 not seen",
			settings: Settings{Multiplex: "auto"},
			warning:  "says FCGI_MPXS_CONNS=1, and it is not so (refused)",
		},
		{
			name: "it multiplexes one by one", script: inTurn, values: fcgitest.ValuesYes,
			want:     "1   usable, kept, stays open, serial, 10 not seen",
			settings: Settings{Multiplex: "on"},
			warning:  "it is not so (serial)",
		},
		{
			name: "it loses a request", script: losing, values: fcgitest.ValuesYes,
			want:     "1   usable, kept, stays open, lost, 10 not seen",
			settings: Settings{Multiplex: "on"},
			warning:  "it is not so (lost)",
		},
		{
			name: "three requests to a connection", script: fcgitest.MaxRequests(3), values: fcgitest.ValuesNo,
			want:     "0   usable, kept, stays open, no multiplexing, 10 not seen",
			settings: Settings{KeepAlive: "off"},
			warning:  "this backend keeps them",
		},
		{
			name: "it ends requests twice", script: fcgitest.TwoEnds, values: fcgitest.ValuesNo,
			want:     "0   usable, kept, stays open, no multiplexing, 10 not seen",
			settings: Settings{KeepAlive: "off"},
			warning:  "this backend keeps them",
		},
		{
			name: "it ends a request twice and takes no other", script: onceTwice, values: fcgitest.ValuesNo,
			want:     "0   usable, stalled, stays open, no multiplexing, ?",
			settings: Settings{}, workers: DefaultMax,
			warning: "how many requests it holds could not be tried, because an idle connection stops it; --workers 256 is a guess",
		},
		{
			name: "it closes after GET_VALUES", script: fcgitest.Hello, values: fcgitest.ValuesClose,
			want:     "0   unusable, kept, stays open, no multiplexing, 10 not seen",
			settings: Settings{Multiplex: "on"},
			warning:  "does not say that it multiplexes",
		},
		{
			name: "it closes instead of GET_VALUES", script: fcgitest.Hello, values: fcgitest.ValuesDrop,
			want:     "? ? ? ?, kept, stays open, no multiplexing, 10 not seen",
			settings: Settings{Multiplex: "on"},
			warning:  "does not say that it multiplexes (it does not answer GET_VALUES)",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer := fcgitest.Start(t, c.script)
				peer.Values(c.values)
				r, err := run(t, peer, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := brief(r); got != c.want {
					t.Errorf("%s\nwant %s", got, c.want)
				}
				a := r.Advise(c.settings)
				if len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], c.warning) {
					t.Errorf("warnings %q, want %q", a.Warnings, c.warning)
				}
				wantWorkers := c.workers
				if wantWorkers == 0 && r.Capacity.Known && r.Capacity.Value.Full == FullNotSeen {
					wantWorkers = r.Capacity.Value.Connections // as many as were tried
				}
				if a.Workers != wantWorkers {
					t.Errorf("%d workers are advised, want %d", a.Workers, wantWorkers)
				}
			})
		})
	}
}

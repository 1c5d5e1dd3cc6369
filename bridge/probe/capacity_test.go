package probe

import (
	"context"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// spare are the scripts of the five connections before the capacity is measured:
// the first requests, three values, and one without keep-alive.
func spare(then ...fcgitest.Script) []fcgitest.Script {
	return append(slices.Repeat([]fcgitest.Script{fcgitest.Hello}, 5), then...)
}

// alone answers once at most n connections are open, its own included.
func alone(peer **fcgitest.Peer, n int) fcgitest.Script {
	return func(s *fcgitest.Session) {
		for (*peer).Open() > n {
			s.HoldFor(time.Millisecond)
		}
		fcgitest.Hello(s)
	}
}

// once answers one request and leaves it at that, while it stays open.
var once = fcgitest.First(fcgitest.Page, (*fcgitest.Session).Gone)

// Connections that are kept and do not behave.
func TestCapacityOdd(t *testing.T) {
	var peer *fcgitest.Peer
	for _, c := range []struct {
		name      string
		scripts   []fcgitest.Script
		keepAlive KeepAlive
		want      string // the capacity, or why there is none
	}{
		{
			"a kept one stops answering", spare(once, once, alone(&peer, 2)), Stalled,
			"with 2 connections kept, a request on one of them was not answered",
		},
		{
			"any idle one stops the others", spare(once, once, alone(&peer, 1)), Stalled,
			"connection 3 was answered only after all others were closed",
		},
		{
			"one answers never", spare(fcgitest.Hello, fcgitest.Hello, fcgitest.SilentForever), Kept,
			"connection 3 was not answered in 2.5s, nor after all others were closed",
		},
		{
			"one is cut", spare(fcgitest.Hello, fcgitest.EOFInBody), Kept,
			"connection 2: the connection was closed in the middle of an answer",
		},
		{
			"some are closed after an answer", spare(fcgitest.Hello, fcgitest.CloseAfterEnd, fcgitest.Hello, fcgitest.AcceptThenClose), Kept,
			"2 connections; one more it accepts and closes at once; it closed 1 others after an answer",
		},
		{
			"all are closed after an answer", spare(fcgitest.CloseAfterEnd), Kept,
			"it closes connections although it was asked to keep them",
		},
		{
			"a passing refusal", spare(fcgitest.AcceptThenClose, fcgitest.AcceptThenClose, fcgitest.Hello), Kept,
			"no limit seen up to 10 connections",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer = fcgitest.Start(t, c.scripts...)
				r, err := run(t, peer, nil)
				if err != nil {
					t.Fatal(err)
				}
				if !is(r.KeepAlive, c.keepAlive) {
					t.Errorf("keep-alive is %v", r.KeepAlive)
				}
				if got := strings.TrimPrefix(r.capacityText(), "not known: "); !strings.HasPrefix(got, c.want) {
					t.Errorf("%s, want %s", got, c.want)
				}
				guessed := c.keepAlive == Stalled
				if a := r.Advise(Settings{}); a.KeepAlive != "auto" || guessed != (len(a.Warnings) == 1 && a.Workers == DefaultMax) {
					t.Errorf("%+v", a)
				}
			})
		})
	}
}

// A full backlog says nothing of how many workers there are.
func TestCapacityBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		r, err := run(t, peer, func(cfg *Config) {
			dial, dials := cfg.Dial, 0
			cfg.Dial = func(ctx context.Context) (net.Conn, error) {
				if dials++; dials > 7 {
					return nil, syscall.EAGAIN
				}
				return dial(ctx)
			}
		})
		if err != nil || r.Capacity.Known || r.Capacity.Reason != "connection 3: dial app: the listen backlog is full" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// The one connection that is allowed is used, and no more.
func TestOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Processes(3, hello))
		r, err := run(t, peer, func(cfg *Config) { cfg.Max = 1 })
		if err != nil || r.capacityText() != "no limit seen up to 1 connection" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A slow page makes the probe more patient, and is not taken for a worker that
// is occupied.
func TestSlowPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(s *fcgitest.Session, r *fcgitest.Request) {
			s.HoldFor(4 * time.Second)
			hello(s, r)
		}
		peer := fcgitest.Start(t, fcgitest.Threads(2, 0, slow))
		r, err := run(t, peer, func(cfg *Config) { cfg.Timeout = 10 * time.Minute })
		if err != nil || !is(r.KeepAlive, Kept) || r.Capacity.Value != (Capacity{Connections: 2, Full: FullCloses}) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// More processes may be started while one waits, as PHP-FPM does once a second.
func TestMoreProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := func(s *fcgitest.Session) {
			s.HoldFor(time.Second)
			fcgitest.Hello(s)
		}
		peer := fcgitest.Start(t, spare(fcgitest.Hello, started, started, fcgitest.AcceptThenClose)...)
		r, err := run(t, peer, nil)
		if err != nil || r.Capacity.Value != (Capacity{Connections: 3, Full: FullCloses}) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

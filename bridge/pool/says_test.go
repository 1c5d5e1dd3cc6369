package pool

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// The end of STDOUT is an event, once for each record that says so, on connections of all
// kinds.
func TestEndOfStdout(t *testing.T) {
	for name, tc := range map[string]struct {
		script func(p fcgitest.Pace, e fcgitest.Ending, parts ...string) fcgitest.Script
		pool   func(testing.TB, *fcgitest.Peer, int) *Pool
	}{
		"own":    {fcgitest.Says, func(t testing.TB, p *fcgitest.Peer, n int) *Pool { return poolFor(t, p, n) }},
		"shared": {fcgitest.MuxSays, func(t testing.TB, p *fcgitest.Peer, n int) *Pool { return muxPool(t, p, n) }},
	} {
		for pace := range fcgitest.AtOnce + 1 {
			synctest.Test(t, func(t *testing.T) {
				p := tc.pool(t, fcgitest.Start(t, tc.script(pace, fcgitest.Ended, "", "a", "", "b")), 2)
				l := leaseFor(t, p, whole)
				send(t, l, "/")
				var got []string
				for ended := false; !ended; {
					ev, err := l.Next(time.Now().Add(time.Minute))
					if err != nil {
						t.Fatal(err)
					}
					if ended = ev.Kind == upstream.End; !ended {
						got = append(got, string(ev.Data))
					}
					if l.Spoke() != slices.Contains(got, "a") {
						t.Errorf("%s, %v: Spoke is %v after %q", name, pace, l.Spoke(), got)
					}
				}
				l.Release()
				if !slices.Equal(got, []string{"", "a", "", "b", ""}) {
					t.Errorf("%s, %v: %q", name, pace, got)
				}
				wantCounts(t, p, counts{idle: 1})
			})
		}
	}
}

// An application without queries says so, in time or in the middle of what follows.
func TestUnknownType(t *testing.T) {
	for _, tc := range []struct {
		name      string
		after     time.Duration // it says so
		multiplex string
	}{
		{"in time", 0, "off"},
		{"almost too late", queryTimeout - time.Millisecond, "off"},
		{"too late", queryTimeout + 5*time.Millisecond, "unknown"},
	} {
		inBubble(t, tc.name, func(t *testing.T) {
			peer := fcgitest.Start(t, fcgitest.Hello)
			peer.Values(fcgitest.ValuesUnknown(tc.after))
			p := poolOf(t, peer.Dial, Config{Workers: ownConns + 12, Multiplex: MultiplexAuto})
			serve(t, p)
			for range ownConns {
				defer leaseFor(t, p, whole).Release()
			}
			l := leaseFor(t, p, whole)
			finish(t, l)
			if s := p.Snapshot().Instances[0]; s.Multiplex != tc.multiplex || s.Discarded != 0 || len(peer.Asked()) != 1 || peer.Accepted() != ownConns+1 {
				t.Errorf("%+v after %d queries on %d connections", s, len(peer.Asked()), peer.Accepted())
			}
		})
	}
	// On a shared connection it belongs to no request.
	synctest.Test(t, func(t *testing.T) {
		p := muxPool(t, fcgitest.Start(t, fcgitest.Multiplexed(func(s *fcgitest.Session, r *fcgitest.Request) {
			s.Send(fcgitest.Record(fcgitest.UnknownTypeRecord, 0, []byte{fcgitest.GetValues, 0, 0, 0, 0, 0, 0, 0}), fcgitest.Out(r.ID, fcgitest.Page), fcgitest.End(r.ID))
		})), 2)
		l := leaseFor(t, p, whole)
		finish(t, l)
		wantCounts(t, p, counts{idle: 1})
	})
}

// After one connection was turned away, the next requests do not wait for a reply of an
// application that ignores queries: it accepts connections.
func TestSilentApplicationThatTurnedOneAway(t *testing.T) {
	for _, demand := range []Demand{whole, {Buffered: true, Body: true, NoReplay: true}} {
		for _, later := range []time.Duration{0, 5 * time.Second, 50 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				peer := fcgitest.Start(t, fcgitest.ResetBeforeReading, fcgitest.Hello)
				peer.Values(fcgitest.ValuesSilent)
				p := threadedPool(t, peer, 8)
				l := leaseFor(t, p, demand)
				if _, err := converse(l); err == nil {
					t.Error("the first connection was not turned away")
				}
				l.Release()
				time.Sleep(later)
				begun := time.Now()
				l = leaseFor(t, p, demand)
				finish(t, l)
				if d := time.Since(begun); d > queryTimeout+50*time.Millisecond {
					t.Errorf("%+v, %v later: the next request waited %v", demand, later, d)
				}
				if len(peer.Asked()) != 1 {
					t.Errorf("queried %d times, want once", len(peer.Asked()))
				}
			})
		}
	}
}

// An application that has replied once is waited for although it has turned a connection away: it may be
// stopped, and turn away what has come meanwhile when it goes on. A request that can be sent again does not
// wait, and does not have others not wait either.
func TestStoppedApplicationThatTurnedOneAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.ResetBeforeReading, fcgitest.Hello, fcgitest.Hello, fcgitest.Hello)
		peer.Values(fcgitest.ValuesNo)
		p := threadedPool(t, peer, 8)
		post := Demand{Buffered: true, Body: true, NoReplay: true}
		l := leaseFor(t, p, post)
		if _, err := converse(l); err == nil {
			t.Error("the first connection was not turned away")
		}
		l.Release()
		finish(t, leaseFor(t, p, post))
		p.mu.Lock()
		p.instances[0].behaviour.replies = false // it was too slow once
		p.mu.Unlock()
		peer.Values(fcgitest.ValuesLate(time.Second))
		held := []*Lease{leaseFor(t, p, Demand{})} // the connection that was kept
		for _, tc := range []struct {
			demand Demand
			wait   time.Duration
		}{{whole, queryTimeout}, {post, time.Second}} {
			begun := time.Now()
			held = append(held, leaseFor(t, p, tc.demand))
			if d := time.Since(begun); d < tc.wait || d > tc.wait+50*time.Millisecond {
				t.Errorf("%+v: the request waited %v, want %v", tc.demand, d, tc.wait)
			}
		}
		for _, l := range held {
			finish(t, l)
		}
	})
}

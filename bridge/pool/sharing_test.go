package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// whole is what most requests demand: they can share a connection.
var whole = Demand{Buffered: true}

// muxPool returns a pool whose requests share connections to peer.
func muxPool(t testing.TB, peer *fcgitest.Peer, workers int) *Pool {
	t.Helper()
	return poolOf(t, peer.Dial, Config{Workers: workers, Multiplex: MultiplexOn, SendTimeout: time.Minute})
}

// Many requests at once on one connection: each gets its own answer, however the
// records of all of them mix.
func TestStreamsShareAConnection(t *testing.T) {
	const requests, lines = 100, 20
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.MuxInterleaved(lines, time.Second))
		p := muxPool(t, peer, requests)
		var all sync.WaitGroup
		for i := range requests {
			all.Go(func() {
				l := leaseFor(t, p, whole)
				defer l.Release()
				uri := fmt.Sprintf("/%d", i)
				send(t, l, uri)
				out, err := answer(l)
				var want strings.Builder
				want.WriteString("Content-Type: text/plain\n\n")
				for n := range lines {
					want.WriteString(fmt.Sprintf("%s %d\n", uri, n))
				}
				if err != nil || out != want.String() {
					t.Errorf("%s got %q, %v", uri, out, err)
				}
			})
		}
		synctest.Wait()
		if s := p.Snapshot().Instances[0]; s.Busy != 1 || s.Requests != requests {
			t.Errorf("%d connections, %d requests, want 1, %d", s.Busy, s.Requests, requests)
		}
		all.Wait()
		wantCounts(t, p, counts{idle: 1})
		equal(t, "connections", peer.Accepted(), 1)
	})
}

// Requests never exceed the workers, shared connection or not, and a connection
// carries maxStreams of them at most.
func TestStreamsAreWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.MuxPage)
		p := muxPool(t, peer, maxStreams+3)
		var leases []*Lease
		for range maxStreams + 2 {
			leases = append(leases, leaseFor(t, p, whole))
		}
		own := leaseFor(t, p, Demand{})
		if own.Shared() {
			t.Error("a request that needs a connection of its own shares one")
		}
		wantCounts(t, p, counts{busy: 3})
		waiting := startLeasing(p, whole)
		if waiting.ended() {
			t.Fatalf("request %d of %d workers did not wait: %v", maxStreams+4, maxStreams+3, waiting.err)
		}
		leases[0].Release()
		leases[0] = waiting.mustLease(t)
		for _, l := range append(leases, own) {
			l.Release()
		}
	})
}

// A body that is not read may stop a multiplexing application from reading on, so requests
// with bodies do not share connections with others.
func TestBodiesAreKeptApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := muxPool(t, fcgitest.Start(t, fcgitest.MuxPage), 8)
		for range 2 {
			defer leaseFor(t, p, whole).Release()
			defer leaseFor(t, p, Demand{Buffered: true, Body: true}).Release()
		}
		wantCounts(t, p, counts{busy: 2})
	})
}

// Hundreds of requests at once dial once while the first connection to share is
// being made.
func TestOneDialForAll(t *testing.T) {
	for _, tc := range []struct {
		name      string
		multiplex Multiplex
		conns     int
	}{
		{"on", MultiplexOn, 1},
		{"auto", MultiplexAuto, ownConns + 1},
	} {
		inBubble(t, tc.name, func(t *testing.T) {
			d := make(dialer)
			p := poolOf(t, d.dial, Config{Workers: 500, Multiplex: tc.multiplex})
			peer := fcgitest.Start(t, fcgitest.MuxPage)
			peer.Values(fcgitest.ValuesYes)
			var all []*leasing
			for range 300 {
				all = append(all, startLeasing(p, whole))
			}
			wantCounts(t, p, counts{dialing: tc.conns})
			for range tc.conns {
				c, err := peer.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				d <- dialed{conn: c}
			}
			for _, g := range all {
				defer g.mustLease(t).Release()
			}
			if s := p.Snapshot().Instances[0]; s.Busy != tc.conns || s.Requests != 300 || s.Dials != uint64(tc.conns) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// While it is not known whether the application multiplexes, that dial is not waited for longer than
// a reply may take, whatever else the pool has to do meanwhile.
func TestSharedDialThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.MuxPage)
		var hangs atomic.Bool
		cfg := Config{Workers: ownConns + 12, Multiplex: MultiplexAuto}
		p := poolOf(t, func(ctx context.Context) (net.Conn, error) {
			if hangs.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return peer.Dial(ctx)
		}, cfg)
		serve(t, p)
		for range ownConns {
			defer leaseFor(t, p, whole).Release()
		}
		hangs.Store(true)
		first, second := startLeasing(p, whole), startLeasing(p, whole)
		wantCounts(t, p, counts{dialing: 1, busy: ownConns})
		time.Sleep(queryTimeout / 2)
		if err := p.Configure(cfg); err != nil { // everything that is due is done
			t.Fatal(err)
		}
		wantCounts(t, p, counts{dialing: 1, busy: ownConns})
		time.Sleep(queryTimeout)
		wantCounts(t, p, counts{dialing: 2, busy: ownConns})
		first.cancel()
		second.cancel()
		<-first.done
		<-second.done
	})
}

// When that dial fails everybody learns it at once.
func TestOneFailedDialForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := make(dialer)
		p := poolOf(t, d.dial, Config{Workers: 50, Multiplex: MultiplexOn})
		var all []*leasing
		for range 30 {
			all = append(all, startLeasing(p, whole))
		}
		synctest.Wait()
		d <- dialed{err: errors.New("no route to host")}
		for _, g := range all {
			<-g.done
			var down *UnavailableError
			if !errors.As(g.err, &down) || g.after != 0 {
				t.Errorf("%v after %v", g.err, g.after)
			}
		}
		wantCounts(t, p, counts{})
	})
}

// A query for exactly one name is sent when there are so many connections that sharing is of
// use, and the reply is believed. The request is served in any case.
func TestQueryWhetherItMultiplexes(t *testing.T) {
	for _, tc := range []struct {
		name      string
		values    func(*fcgitest.Session, []string)
		multiplex string
		dials     int // connections after that for two requests at once
		after     time.Duration
		ended     bool // the application closed the first of those
	}{
		{"yes, as Go", fcgitest.ValuesYes, "on", 1, 0, false},
		{"yes, as Trac", fcgitest.ValuesTrac, "on", 1, 0, false},
		{"no, as libfcgi", fcgitest.ValuesNo, "off", 2, 0, false},
		{"nothing known, as flup", fcgitest.ValuesEmpty, "off", 2, 0, false},
		{"no answer, as uWSGI", fcgitest.ValuesSilent, "unknown", 2, queryTimeout + time.Millisecond, false},
		{"no, and the end", fcgitest.ValuesClose, "off", 2, 0, true},
		{"the end", fcgitest.ValuesDrop, "unknown", 3, dialPause, false},
		{"in time", fcgitest.ValuesLate(queryTimeout - time.Millisecond), "off", 2, queryTimeout - time.Millisecond, false},
		{"too late", fcgitest.ValuesLate(queryTimeout + 5*time.Millisecond), "unknown", 2, queryTimeout + time.Millisecond, false},
	} {
		inBubble(t, tc.name, func(t *testing.T) {
			peer := fcgitest.Start(t, fcgitest.MuxPage)
			peer.Values(tc.values)
			p := poolOf(t, peer.Dial, Config{Workers: ownConns + 12, Multiplex: MultiplexAuto})
			serve(t, p)
			for range ownConns {
				defer leaseFor(t, p, whole).Release()
			}
			equal(t, "queries before they matter", len(peer.Asked()), 0)
			begun := time.Now()
			first, second := leaseFor(t, p, whole), leaseFor(t, p, whole)
			equal(t, "the next request waited", time.Since(begun), tc.after)
			for i, l := range []*Lease{first, second} {
				out, err := converse(l)
				var e *Error
				switch {
				case tc.ended && i == 0:
					if !errors.As(err, &e) || e.Replay != ReplaySafe {
						t.Errorf("%v, want it safe to send again", err)
					}
				case err != nil || out != fcgitest.Page:
					t.Errorf("%q, %v", out, err)
				}
				l.Release()
			}
			s := p.Snapshot().Instances[0]
			if s.Multiplex != tc.multiplex || peer.Accepted() != ownConns+tc.dials {
				t.Errorf("multiplex %s after %d connections, want %s, %d", s.Multiplex, peer.Accepted(), tc.multiplex, ownConns+tc.dials)
			}
			if asked := peer.Asked(); len(asked) != 1 || len(asked[0]) != 1 || asked[0][0] != "FCGI_MPXS_CONNS" {
				t.Errorf("queried %q, want FCGI_MPXS_CONNS alone, once", asked)
			}
		})
	}
}

// A request that is given up is aborted. The others on its connection go on. Its worker
// counts as busy until the application has ended the request, and what comes after that
// reaches no request.
func TestAbortedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.MuxAbortTail(time.Second))
		p := muxPool(t, peer, 2)
		given, other := leaseFor(t, p, whole), leaseFor(t, p, whole)
		send(t, given, "/given")
		send(t, other, "/other")
		synctest.Wait()
		given.MarkAbandoned()
		given.MarkAbandoned()
		if s := p.Snapshot().Instances[0]; s.Zombies != 1 || s.Requests != 2 {
			t.Errorf("%d zombies of %d requests, want 1 of 2", s.Zombies, s.Requests)
		}
		if out, err := answer(given); out != "" || err != nil {
			t.Errorf("the aborted request was answered %q, %v", out, err)
		}
		given.Release()
		time.Sleep(2 * time.Second) // the tail has come
		other.MarkAbandoned()
		finishAnswer(t, other)
		wantCounts(t, p, counts{idle: 1})
	})
}

// The end of a connection is the end of all its requests, and says of each what it
// means for it.
func TestSharedConnectionEnds(t *testing.T) {
	for name, script := range map[string]fcgitest.Script{
		"after some answers":        fcgitest.MuxDies(3),
		"in the middle of a record": fcgitest.MuxCutRecord,
	} {
		inBubble(t, name, func(t *testing.T) {
			peer := fcgitest.Start(t, script, fcgitest.MuxPage)
			p := muxPool(t, peer, 8)
			var leases []*Lease
			for range 5 {
				leases = append(leases, leaseFor(t, p, whole))
			}
			for _, l := range leases {
				send(t, l, "/")
			}
			failed := 0
			for _, l := range leases {
				_, err := answer(l)
				var e *Error
				if errors.As(err, &e) {
					failed++
					if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
						t.Error(err)
					}
					// The application may end the connection before all five are on it.
					got := slices.ContainsFunc(peer.Requests(), func(r *fcgitest.Request) bool { return r.ID == l.RequestID() })
					if got && e.Replay == ReplaySafe {
						t.Errorf("%v, replay %v, and the application got the request", err, e.Replay)
					}
				}
				l.Release()
			}
			if failed == 0 {
				t.Error("nobody noticed")
			}
			l := leaseFor(t, p, whole)
			defer l.Release()
			send(t, l, "/")
			if out, err := answer(l); err != nil || out != fcgitest.Page {
				t.Errorf("on the next connection: %q, %v", out, err)
			}
		})
	}
}

// Records for a request that is over are dropped, and its id is not used again;
// records for one that never was end the connection.
func TestStrayRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := muxPool(t, fcgitest.Start(t, fcgitest.MuxFreedStray), 4)
		for range 3 {
			l := leaseFor(t, p, whole)
			send(t, l, "/")
			finishAnswer(t, l)
			synctest.Wait()
		}
		wantCounts(t, p, counts{idle: 1})
	})
	synctest.Test(t, func(t *testing.T) {
		p := muxPool(t, fcgitest.Start(t, fcgitest.MuxStray), 4)
		l := leaseFor(t, p, whole)
		send(t, l, "/")
		_, err := answer(l)
		var format *upstream.FormatError
		if !errors.As(err, &format) {
			t.Errorf("%v, want a FormatError", err)
		}
		l.Release()
		wantCounts(t, p, counts{})
	})
}

// An application that refuses a second request on a connection gets one at a time,
// and the refused one may be sent again.
func TestCantMultiplex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := muxPool(t, fcgitest.Start(t, fcgitest.CantMpx), 4)
		first, second := leaseFor(t, p, whole), leaseFor(t, p, whole)
		send(t, first, "/")
		send(t, second, "/")
		_, err := answer(second)
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, upstream.ErrCantMultiplex) || e.Replay != ReplaySafe {
			t.Errorf("%v, want it refused and safe to send again", err)
		}
		second.Release()
		again := leaseFor(t, p, whole)
		if again.Shared() {
			t.Error("the next request shares a connection again")
		}
		again.Release()
		finishPage(t, first)
		wantCounts(t, p, counts{})
		if s := p.Snapshot().Instances[0]; s.Multiplex != "off" {
			t.Errorf("multiplex is %s", s.Multiplex)
		}
	})
}

// If the application stops reading, the connection ends after SendTimeout. A request that
// was not sent may be sent again.
func TestStuckReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := muxPool(t, fcgitest.Start(t, fcgitest.MuxDeafTo(1)), 100)
		var leases []*Lease
		long := strings.Repeat("x", 60_000)
		begun := time.Now()
		for range 10 {
			l := leaseFor(t, p, whole)
			leases = append(leases, l)
			send(t, l, "/"+long)
			synctest.Wait()
		}
		safe := 0
		finishPage(t, leases[0])
		leases = leases[1:]
		for _, l := range leases {
			_, err := answer(l)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%v", err)
			}
			if e.Replay == ReplaySafe {
				safe++
			}
			l.Release()
		}
		if d := time.Since(begun); d < time.Minute || d > 2*time.Minute {
			t.Errorf("given up after %v, want a minute", d)
		}
		if safe == 0 || safe == len(leases) {
			t.Errorf("%d of %d are safe to send again", safe, len(leases))
		}
		wantCounts(t, p, counts{})
	})
}

package pool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no workers":    {Instances: []Instance{{Addr: "a"}}},
		"a named twice": {Instances: []Instance{{Addr: "a"}, {Addr: "b"}, {Addr: "a"}}, Workers: 1},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestConnectionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		p := poolFor(t, peer, 4)
		for range 5 {
			serve(t, p)
		}
		wantCounts(t, p, counts{idle: 1})
		if in := p.Snapshot().Instances[0]; in.Dials != 1 || in.Reuses != 4 || in.Discarded != 0 {
			t.Errorf("%d dials, %d reuses, %d discarded, want 1, 4, 0", in.Dials, in.Reuses, in.Discarded)
		}
		for i, r := range peer.Requests() {
			if int(r.ID) != i+1 {
				t.Errorf("request %d had id %d", i, r.ID)
			}
		}
	})
}

func TestNothingIsDialledAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		poolFor(t, peer, 4)
		time.Sleep(time.Hour)
		equal(t, "connections without a request", peer.Accepted(), 0)
	})
}

func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		p := poolOf(t, peer.Dial, Config{Workers: 4, IdleTimeout: 5 * time.Second})
		a, b := mustLease(t, p), mustLease(t, p)
		for _, l := range []*Lease{a, b} {
			exchange(t, l)
		}
		a.Release()
		time.Sleep(2 * time.Second)
		b.Release()

		time.Sleep(3*time.Second - time.Nanosecond)
		wantCounts(t, p, counts{idle: 2})
		time.Sleep(time.Nanosecond)
		wantCounts(t, p, counts{idle: 1})
		time.Sleep(2*time.Second - time.Nanosecond)
		wantCounts(t, p, counts{idle: 1})
		time.Sleep(time.Nanosecond)
		wantCounts(t, p, counts{})
		equal(t, "connections open at the application", peer.Open(), 0)
	})
}

// A connection that is used again is idle anew: the time starts over.
func TestIdleTimeoutStartsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.Hello), 4)
		for range 4 {
			serve(t, p)
			time.Sleep(4 * time.Second)
		}
		equal(t, "dials", p.Snapshot().Instances[0].Dials, 1)
	})
}

// A connection that becomes idle while a request waits for a fresh one is closed in time,
// too.
func TestIdleTimeoutBesideAWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := make(dialer)
		p := poolOf(t, d.dial, Config{Workers: 2, DialTimeout: 10 * time.Second, WaitTimeout: 10 * time.Second})
		g := startLease(p)
		near, far := fcgitest.Pipe()
		d <- dialed{conn: near}
		used := g.mustLease(t)
		defer far.Close()

		g = startLeasing(p, Demand{Fresh: true})
		synctest.Wait()
		used.sent, used.ended = true, true
		used.Release()
		wantCounts(t, p, counts{idle: 1, dialing: 1})
		time.Sleep(5 * time.Second)
		wantCounts(t, p, counts{dialing: 1})

		near, far = fcgitest.Pipe()
		defer far.Close()
		d <- dialed{conn: near}
		g.mustLease(t).Release()
	})
}

func TestDialTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{
			Instances: []Instance{{Addr: "app", Dial: make(dialer).dial}}, Workers: 1,
			DialTimeout: 2 * time.Second, WaitTimeout: time.Minute,
		})
		g := startLease(p)
		<-g.done
		var unavailable *UnavailableError
		if !errors.As(g.err, &unavailable) || !errors.Is(g.err, context.DeadlineExceeded) || g.after != 2*time.Second {
			t.Errorf("%v after %v, want an UnavailableError after 2s", g.err, g.after)
		}
		if want := "dial app: no answer in time"; g.err.Error() != want {
			t.Errorf("error %q, want %q", g.err, want)
		}
		wantCounts(t, p, counts{})
	})
}

func TestWaitTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		p := poolOf(t, peer.Dial, Config{Workers: 1, WaitTimeout: 3 * time.Second})
		l := mustLease(t, p)
		g := startLease(p)
		<-g.done
		if !errors.Is(g.err, ErrWaitTimeout) || g.after != 3*time.Second {
			t.Errorf("%v after %v, want ErrWaitTimeout after 3s", g.err, g.after)
		}
		equal(t, "waiting", p.Snapshot().Waiting, 0)
		l.Release()
	})
}

func TestWaitersAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.Hello), 1)
		l := mustLease(t, p)
		var line []*leasing
		for range 5 {
			line = append(line, startLease(p))
			synctest.Wait()
		}
		if n := p.Snapshot().Waiting; n != 5 {
			t.Fatalf("%d waiting, want 5", n)
		}
		for i, g := range line {
			finish(t, l)
			if !g.ended() {
				t.Fatalf("waiter %d was not served", i)
			}
			for _, later := range line[i+1:] {
				if later.ended() {
					t.Fatalf("a later one than waiter %d was served", i)
				}
			}
			l = g.mustLease(t)
		}
		l.Release()
	})
}

// A request that comes while others wait does not take the connection that was
// just released before them.
func TestNobodyOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.Hello), 1)
		l := mustLease(t, p)
		first := startLease(p)
		synctest.Wait()
		l.Release() // not used: closed, and dialled anew for the first in line
		second := startLease(p)
		first.mustLease(t)
		if second.ended() {
			t.Fatal("the second got a connection as well")
		}
		first.lease.Release()
		second.mustLease(t).Release()
	})
}

func TestCancelledWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.Hello), 1)
		l := mustLease(t, p)
		gone, next := startLease(p), startLease(p)
		synctest.Wait()
		gone.cancel()
		<-gone.done
		if !errors.Is(gone.err, context.Canceled) || gone.after != 0 {
			t.Errorf("%v after %v, want context.Canceled at once", gone.err, gone.after)
		}
		equal(t, "waiting", p.Snapshot().Waiting, 1)
		l.Release()
		next.mustLease(t).Release()
	})
}

// A dial whose waiter has gone serves another waiter.
func TestCancelledWaitersDialIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := make(dialer)
		p := poolOf(t, d.dial, Config{Workers: 1})
		gone := startLease(p)
		synctest.Wait()
		next := startLease(p)
		synctest.Wait()
		gone.cancel()
		<-gone.done
		wantCounts(t, p, counts{dialing: 1})

		near, far := fcgitest.Pipe()
		defer far.Close()
		d <- dialed{conn: near}
		next.mustLease(t).Release()
		equal(t, "dials", p.Snapshot().Instances[0].Dials, 1)
	})
}

// A connection that no request needs any more when it is made is not kept: it would hold a
// worker of the application without having been used.
func TestUnusedConnectionIsNeverKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := make(dialer)
		p := poolOf(t, d.dial, Config{Workers: 1})
		gone := startLease(p)
		synctest.Wait()
		gone.cancel()
		<-gone.done

		near, far := fcgitest.Pipe()
		d <- dialed{conn: near}
		wantCounts(t, p, counts{})
		if n, err := far.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("the connection was kept open (%d bytes, %v)", n, err)
		}
		far.Close()
	})
}

// One that gives up in the instant it is given a connection passes it on.
func TestCancelledInTheInstantOfDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.Hello), 1)
		l := mustLease(t, p)
		exchange(t, l)
		gone, next := startLease(p), startLease(p)
		synctest.Wait()
		gone.cancel()
		l.Release() // gone has not run since
		next.mustLease(t).Release()
		<-gone.done
		if gone.lease != nil {
			gone.lease.Release()
			t.Error("a request that had left was given a connection")
		}
	})
}

func TestLeaseOfAnEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		p := poolFor(t, peer, 1)
		ctx, cancel := context.WithCancelCause(context.Background())
		why := errors.New("why")
		cancel(why)
		if _, err := p.Lease(ctx, Demand{}); !errors.Is(err, why) {
			t.Errorf("error %v, want the context's cause", err)
		}
		wantCounts(t, p, counts{})
	})
}

// LeaseFresh closes an idle connection to make room for the one it dials.
func TestLeaseFreshEvictsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		p := poolFor(t, peer, 1)
		serve(t, p)
		wantCounts(t, p, counts{idle: 1})
		l := leaseFor(t, p, Demand{Fresh: true})
		if !l.Fresh() || l.RequestID() != 1 {
			t.Errorf("fresh %v, id %d, want true, 1", l.Fresh(), l.RequestID())
		}
		wantCounts(t, p, counts{busy: 1})
		l.Release()
		if n := peer.MostOpen(); n > 2 { // the application learns of the first one's end a moment later
			t.Errorf("%d connections at once", n)
		}
	})
}

// A waiter that needs a fresh connection does not get a used one. The used one is closed to
// make room.
func TestLeaseFreshWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.Hello), 1)
		l := mustLease(t, p)
		g := startLeasing(p, Demand{Fresh: true})
		g.mustWait(t)
		finish(t, l)
		fresh := g.mustLease(t)
		if !fresh.Fresh() {
			t.Error("the connection is not fresh")
		}
		fresh.Release()
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		p := poolFor(t, peer, 2)
		kept, busy := mustLease(t, p), mustLease(t, p)
		exchange(t, kept)
		waiting := startLeasing(p, Demand{Fresh: true})
		synctest.Wait()
		kept.Release() // closed for the one who waits
		dialled := waiting.mustLease(t)
		waiting = startLease(p)
		synctest.Wait()

		p.Close()
		<-waiting.done
		if !errors.Is(waiting.err, ErrClosed) {
			t.Errorf("waiter: %v, want ErrClosed", waiting.err)
		}
		if _, err := p.Lease(context.Background(), Demand{}); !errors.Is(err, ErrClosed) {
			t.Errorf("Lease: %v, want ErrClosed", err)
		}
		if _, err := p.Lease(context.Background(), Demand{Fresh: true}); !errors.Is(err, ErrClosed) {
			t.Errorf("LeaseFresh: %v, want ErrClosed", err)
		}
		finish(t, busy)
		dialled.Release()
		p.Close()
		wantCounts(t, p, counts{})
		equal(t, "connections open at the application", peer.Open(), 0)
	})
}

func TestCloseEndsDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolOf(t, make(dialer).dial, Config{Workers: 1, DialTimeout: time.Hour})
		g := startLease(p)
		synctest.Wait()
		p.Close()
		<-g.done
		if !errors.Is(g.err, ErrClosed) || g.after != 0 {
			t.Errorf("%v after %v, want ErrClosed at once", g.err, g.after)
		}
	})
}

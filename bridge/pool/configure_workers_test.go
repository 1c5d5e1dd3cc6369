package pool

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Unused connections that are too many are closed at once, the oldest first.
func TestFewerWorkersWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := helloPool(t, Config{Workers: 5})
		all := leaseAll(t, p, 4)
		for _, l := range all {
			finish(t, l)
			time.Sleep(time.Millisecond)
		}
		configure(t, p, workers(3))
		wantCounts(t, p, counts{idle: 3})
		wantCapacity(t, p, 3)
		configure(t, p, workers(1))
		wantCounts(t, p, counts{idle: 1})
		l := mustLease(t, p)
		equal(t, "connection", l.c, all[3].c)
		finish(t, l)
	})
}

// Busy connections are closed as their requests end, even if others wait, until there are no
// more than Workers.
func TestFewerWorkersUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := helloPool(t, Config{Workers: 5})
		all := leaseAll(t, p, 5)
		early := startLease(p)
		synctest.Wait()
		configure(t, p, workers(2))
		late := startLease(p)
		for i, l := range all[:3] {
			wantCounts(t, p, counts{busy: 5 - i})
			if early.ended() {
				t.Fatalf("a request is sent while %d are, with 2 workers", 5-i)
			}
			finish(t, l)
		}
		wantCounts(t, p, counts{busy: 2})
		finish(t, all[3])
		if l := early.mustLease(t); l.c != all[3].c {
			t.Error("a connection was not handed on")
		}
		wantCounts(t, p, counts{busy: 2})
		if late.ended() {
			t.Error("a third request is sent")
		}
		finish(t, all[4])
		finish(t, early.mustLease(t))
		finish(t, late.mustLease(t))
		wantCounts(t, p, counts{idle: 2})
		if s := p.Snapshot().Instances[0]; s.Dials != 5 || s.State != "up" || s.Workers != 2 || s.Observed != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// A connection that was being dialled is used, and closed after that if it is one too many.
// It is closed at once if no request needs it.
func TestFewerWorkersWhileDialling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, peer := make(dialer), fcgitest.Start(t, fcgitest.Hello)
		p := poolOf(t, d.dial, Config{Workers: 3})
		all := []*leasing{startLease(p), startLease(p), startLease(p)}
		wantCounts(t, p, counts{dialing: 3})
		configure(t, p, workers(1))
		all[2].cancel()
		for range all {
			nc, err := peer.Dial(t.Context())
			d <- dialed{nc, err}
		}
		wantCounts(t, p, counts{busy: 2})
		finish(t, all[0].mustLease(t))
		wantCounts(t, p, counts{busy: 1})
		finish(t, all[1].mustLease(t))
		wantCounts(t, p, counts{idle: 1})
	})
}

// What the application is to close itself is not kept, after all, if it is too many.
func TestFewerWorkersWhileClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := helloPool(t, Config{Workers: 2})
		all := leaseAll(t, p, 2)
		p.instances[0].behaviour.closedAfterFirst = closesAlwaysAfter
		finish(t, all[0]) // its end is waited for
		wantCounts(t, p, counts{busy: 1, closing: 1})
		configure(t, p, workers(1))
		time.Sleep(eofTimeout)
		wantCounts(t, p, counts{busy: 1})
		finish(t, all[1])
		wantCounts(t, p, counts{idle: 1})
	})
}

// One that is being closed is not one too many.
func TestFewerWorkersAfterClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := helloPool(t, Config{Workers: 3, CloseDelay: time.Second})
		all := leaseAll(t, p, 3)
		all[0].Release() // not in order: closed
		finish(t, all[1])
		wantCounts(t, p, counts{busy: 1, idle: 1, closing: 1})
		configure(t, p, workers(2))
		wantCounts(t, p, counts{busy: 1, idle: 1, closing: 1})
		finish(t, all[2])
		wantCounts(t, p, counts{idle: 2, closing: 1})
		time.Sleep(time.Second)
		wantCounts(t, p, counts{idle: 2})
	})
}

func TestMoreWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hello := fcgitest.Start(t, fcgitest.Hello)
		p := newPool(t, Config{Instances: []Instance{{Addr: "a", Dial: hello.Dial}, {Addr: "b", Dial: hello.Dial}}, Workers: 1})
		all := leaseAll(t, p, 2)
		waiting := []*leasing{startLease(p), startLease(p), startLease(p)}
		wantCounts(t, p, counts{busy: 1}, counts{busy: 1})
		p.Drain("b")
		wantCapacity(t, p, 1)
		configure(t, p, workers(3))
		wantCapacity(t, p, 3)
		wantCounts(t, p, counts{busy: 3}, counts{busy: 1})
		p.Resume("b")
		wantCapacity(t, p, 6)
		for _, g := range waiting {
			all = append(all, g.mustLease(t))
		}
		for _, l := range all {
			finish(t, l)
		}
		mustAdd(t, p, Instance{Addr: "c", Dial: hello.Dial})
		wantCapacity(t, p, 9)
	})
}

// An application that was found to be full is not believed to hold more when Workers grows.
func TestWorkersOfOneThatIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.Refuse(fcgitest.Overloaded)), 4)
		all := leaseAll(t, p, 4)
		if _, err := converse(all[3]); !errors.Is(err, upstream.ErrOverloaded) {
			t.Fatal(err)
		}
		for _, l := range all {
			l.Release()
		}
		want := func(observed int, state string) {
			t.Helper()
			wantCapacity(t, p, observed)
			if s := p.Snapshot().Instances[0]; s.Observed != observed || s.State != state {
				t.Errorf("observed %d, %s, want %d, %s", s.Observed, s.State, observed, state)
			}
		}
		want(3, "full")
		configure(t, p, workers(5))
		want(3, "full")
		time.Sleep(growEvery)
		want(4, "full")
		time.Sleep(growEvery / 2)
		want(5, "up")
		p.mu.Lock()
		p.lower(p.instances[0], 4)
		p.mu.Unlock()
		configure(t, p, workers(2))
		want(2, "up")
		configure(t, p, workers(6))
		want(6, "up")
	})
}

// A connection that requests share is closed with its last one if it is too many.
func TestFewerWorkersOfSharedConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := muxPool(t, fcgitest.Start(t, fcgitest.MuxAfter(time.Millisecond, fcgitest.Page)), 6)
		var all []*Lease
		for range 4 {
			all = append(all, leaseFor(t, p, whole))
		}
		own := []*Lease{mustLease(t, p), mustLease(t, p)}
		wantCounts(t, p, counts{busy: 3}) // and three more requests on the shared one
		configure(t, p, workers(2))
		waiting := startLeasing(p, whole)
		for _, l := range all[:3] {
			send(t, l, "/")
			finishAnswer(t, l)
			wantCounts(t, p, counts{busy: 3})
		}
		send(t, all[3], "/")
		if _, err := answer(all[3]); err != nil {
			t.Error(err)
		}
		all[3].Release()
		wantCounts(t, p, counts{busy: 2})
		if waiting.ended() {
			t.Error("a third request is sent")
		}
		own[0].Release() // not in order: closed
		if !waiting.mustLease(t).Shared() {
			t.Error("the next one is not shared")
		}
		wantCounts(t, p, counts{busy: 2})
		waiting.lease.Release()
		own[1].Release()
	})
}

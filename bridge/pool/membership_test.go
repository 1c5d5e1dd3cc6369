package pool

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

func instanceOf(addr string, peer *fcgitest.Peer) Instance {
	return Instance{Addr: addr, Dial: peer.Dial}
}

func mustAdd(t testing.TB, p *Pool, in Instance) {
	t.Helper()
	if err := p.Add(in); err != nil {
		t.Fatal(err)
	}
}

// closed is isClosed after everybody has done what can be done now.
func closed(c <-chan struct{}) bool {
	synctest.Wait()
	return isClosed(c)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func wantStates(t testing.TB, p *Pool, want ...string) {
	t.Helper()
	var got []string
	for _, in := range p.Snapshot().Instances {
		got = append(got, in.Addr+" "+in.State)
	}
	if len(got) != len(want) {
		t.Fatalf("instances %q, want %q", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("instances %q, want %q", got, want)
		}
	}
}

func TestPoolWithoutInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Workers: 2, WaitTimeout: 3 * time.Second})
		g := startLease(p)
		<-g.done
		if g.err != ErrWaitTimeout || g.after != 3*time.Second {
			t.Errorf("%v after %v, want ErrWaitTimeout after 3s", g.err, g.after)
		}
		equal(t, "capacity", p.Capacity(), 0)

		var line []*leasing
		for _, d := range []Demand{{}, whole, {Fresh: true}} {
			line = append(line, startLeasing(p, d))
			synctest.Wait()
		}
		time.Sleep(time.Second)
		mustAdd(t, p, instanceOf("a", fcgitest.Start(t, fcgitest.Hello)))
		for i, g := range line[:2] {
			if !g.ended() || g.err != nil || g.after != time.Second {
				t.Fatalf("request %d was not served: %v", i, g.err)
			}
		}
		if line[2].ended() {
			t.Fatal("three requests for two workers")
		}
		for _, g := range line {
			g.mustLease(t).Release()
		}
		wantCapacity(t, p, 2)
	})
}

func TestAddRefuses(t *testing.T) {
	p := newPool(t, Config{Workers: 1, Instances: []Instance{{Addr: "a"}}})
	if p.Add(Instance{Addr: "a"}) == nil {
		t.Error("a second instance of the same address")
	}
	p.Drain("a")
	if p.Add(Instance{Addr: "a"}) == nil {
		t.Error("a second instance of an address that is drained")
	}
	p.Remove("a")
	mustAdd(t, p, Instance{Addr: "a"})
	p.Close()
	if err := p.Add(Instance{Addr: "b"}); err != ErrClosed {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

// Idle connections of an instance that is drained are closed at once, the others when
// their requests end. All others go elsewhere.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := fcgitest.Start(t, fcgitest.Hello), fcgitest.Start(t, fcgitest.Hello)
		p := newPool(t, Config{Workers: 3, Instances: []Instance{instanceOf("a", a)}})
		one, two := mustLease(t, p), mustLease(t, p)
		serve(t, p)
		wantCounts(t, p, counts{busy: 2, idle: 1})
		mustAdd(t, p, instanceOf("b", b))
		wantCapacity(t, p, 6)

		drained := p.Drain("a")
		wantStates(t, p, "b unknown", "a draining")
		wantCounts(t, p, counts{}, counts{busy: 2})
		wantCapacity(t, p, 3)
		equal(t, "connections open", a.Open(), 2)
		for range 3 {
			if l := mustLease(t, p); l.Addr() != "b" {
				t.Errorf("a request went to %s", l.Addr())
			} else {
				l.Release()
			}
		}
		equal(t, "channel of a second Drain", p.Drain("a"), drained)

		one.Release()
		if closed(drained) {
			t.Error("drained with a request left")
		}
		finish(t, two)
		if !closed(drained) || a.Open() != 0 {
			t.Errorf("not drained: %d connections open", a.Open())
		}
		if !closed(p.Drain("a")) || !closed(p.Drain("c")) {
			t.Error("there is something to be drained yet")
		}
	})
}

// What is being closed counts until its room is free.
func TestDrainWaitsForClosings(t *testing.T) {
	inBubble(t, "room that settles", func(t *testing.T) {
		p := helloPool(t, Config{Workers: 1, CloseDelay: 5 * time.Millisecond})
		serve(t, p)
		begun := time.Now()
		<-p.Drain("app")
		equal(t, "drained after", time.Since(begun), 5*time.Millisecond)
	})
	inBubble(t, "an end that is waited for", func(t *testing.T) {
		p := helloPool(t, Config{Workers: 1, KeepAlive: KeepOff, ClosesWhenFull: true})
		serve(t, p) // it keeps the connection open, and is given lingerTimeout
		begun := time.Now()
		<-p.Drain("app")
		equal(t, "drained after", time.Since(begun), lingerTimeout)
	})
	inBubble(t, "an application that does not close it any more", func(t *testing.T) {
		p := helloPool(t, Config{Workers: 1})
		p.instances[0].behaviour.closedAfterFirst = closesAlwaysAfter
		serve(t, p)
		<-p.Drain("app")
		wantCounts(t, p, counts{})
	})
}

// Whoever waits for an instance that is drained, in whatever way, goes to another at
// once, and the instance hears no more of it.
func TestDrainLetsWaitersGo(t *testing.T) {
	for name, a := range map[string]func(t *testing.T) func(context.Context) (net.Conn, error){
		"all connections taken": func(t *testing.T) func(context.Context) (net.Conn, error) {
			return fcgitest.Start(t, fcgitest.Hello).Dial
		},
		"dialling": func(t *testing.T) func(context.Context) (net.Conn, error) { return make(dialer).dial },
		"asking": func(t *testing.T) func(context.Context) (net.Conn, error) {
			return fcgitest.Start(t, (*fcgitest.Session).Hold).Dial
		},
		"backlog full": func(t *testing.T) func(context.Context) (net.Conn, error) { return failingDial(syscall.EAGAIN) },
	} {
		for _, end := range []string{"drained", "removed"} {
			inBubble(t, name+", "+end, func(t *testing.T) {
				p := newPool(t, Config{
					Instances: []Instance{{Addr: "a", Dial: a(t)}},
					Workers:   1, ClosesWhenFull: true, DialTimeout: time.Minute, WaitTimeout: time.Minute,
				})
				var held *Lease
				if name == "all connections taken" {
					held = mustLease(t, p)
				}
				p.instances[0].observed.fullAt = time.Now() // it is queried
				g := startLeasing(p, Demand{Buffered: true, NoReplay: true})
				time.Sleep(100 * time.Millisecond)
				g.mustWait(t)
				drained := p.Drain("a")
				if end == "removed" {
					p.Remove("a")
				}
				g.mustWait(t)
				b := fcgitest.Start(t, fcgitest.Hello)
				mustAdd(t, p, instanceOf("b", b))
				if !g.ended() || g.err != nil || g.lease.Addr() != "b" || g.after != 100*time.Millisecond {
					t.Fatalf("the request was not sent to the other instance: %v after %v", g.err, g.after)
				}
				g.lease.Release()
				if held != nil {
					held.Release()
				}
				begun := time.Now()
				<-drained
				if d := time.Since(begun); d > queryTimeout {
					t.Errorf("drained after %v", d)
				}
			})
		}
	}
}

// failingDial returns a Dial that always fails.
func failingDial(err error) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "unix", Err: err}
	}
}

// A dial that succeeds in the instant its instance is drained is of no use.
func TestDrainMeetsADial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := fcgitest.Pipe()
		defer far.Close()
		release := make(chan struct{})
		p := newPool(t, Config{Workers: 1, ClosesWhenFull: true, Instances: []Instance{{Addr: "a", Dial: func(context.Context) (net.Conn, error) {
			<-release // it does not know of contexts
			return near, nil
		}}}})
		p.instances[0].observed.fullAt = time.Now() // it would be queried
		g := startLease(p)
		synctest.Wait()
		drained := p.Drain("a")
		if closed(drained) {
			t.Error("drained with a dial under way")
		}
		close(release)
		if !closed(drained) {
			t.Error("not drained after the last dial")
		}
		if err := far.SetReadDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		if n, err := far.Read(make([]byte, 1)); n > 0 || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the application read %d bytes, %v, want the end", n, err)
		}
		g.cancel()
		<-g.done
	})
}

// Requests that share a connection to a draining instance may end, and no other joins them.
func TestDrainShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := fcgitest.Start(t, fcgitest.MuxPage), fcgitest.Start(t, fcgitest.MuxPage)
		p := newPool(t, Config{Workers: 4, Instances: []Instance{instanceOf("a", a)}, Multiplex: MultiplexOn})
		var shared []*Lease
		for range 2 {
			shared = append(shared, startLeasing(p, whole).mustLease(t))
		}
		mustAdd(t, p, instanceOf("b", b))
		drained := p.Drain("a")
		other := startLeasing(p, whole).mustLease(t)
		if other.Addr() != "b" {
			t.Errorf("a request joined those at %s", other.Addr())
		}
		other.Release()
		for _, l := range shared {
			if closed(drained) {
				t.Fatal("drained with requests left")
			}
			finish(t, l)
		}
		if !closed(drained) || a.Open() != 0 {
			t.Errorf("not drained: %d connections open", a.Open())
		}
	})
}

func TestDrainIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := fcgitest.Start(t, fcgitest.Hello)
		p := newPool(t, Config{Workers: 2, Instances: []Instance{instanceOf("a", a)}})
		p.Resume("a") // nothing to undo
		held := mustLease(t, p)
		first := p.Drain("a")
		g := startLease(p)
		time.Sleep(time.Second)
		p.Resume("a")
		p.Resume("b")
		if !g.ended() || g.err != nil {
			t.Fatalf("a request waits for an instance that serves again: %v", g.err)
		}
		g.lease.Release()
		finish(t, held)
		wantCounts(t, p, counts{idle: 1}) // kept, as ever
		wantStates(t, p, "a up")
		wantCapacity(t, p, 2)
		if closed(first) {
			t.Error("drained although that was undone")
		}
		if !closed(p.Drain("a")) {
			t.Error("not drained the second time")
		}
	})
}

// The counters of an instance that was removed are in the snapshot for ever.
func TestRemoveKeepsCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := fcgitest.Start(t, fcgitest.Hello)
		p := newPool(t, Config{Workers: 2, Instances: []Instance{instanceOf("a", a)}})
		if s := p.Snapshot(); s.Removed.Instances != 0 || s.Removed.Replays != nil {
			t.Errorf("removed at first: %+v", s.Removed)
		}
		serve(t, p)
		l := mustLease(t, p)
		p.Remove("a")
		wantStates(t, p)
		l.Release() // unused; counted later than the removal
		p.CountReplay(&Error{Addr: "a", Err: ErrRemoved})
		r := p.Snapshot().Removed
		if r.Instances != 1 || r.Dials != 1 || r.Reuses != 1 || r.Discarded != 1 || r.Replays["stale"] != 1 {
			t.Errorf("removed: %+v", r)
		}
		mustAdd(t, p, instanceOf("a", a))
		serve(t, p)
		p.Remove("a")
		if s := p.Snapshot(); s.Removed.Instances != 2 || s.Removed.Dials != 2 {
			t.Errorf("removed twice: %+v", s.Removed)
		}
		p.Remove("a") // there is none
	})
}

package pool

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// phpConfig is for processes that may work on.
func phpConfig(workers int, instances ...Instance) Config {
	return Config{Instances: instances, Workers: workers, WorksOn: true, WaitTimeout: time.Minute}
}

// phpPool has processes that work on after the answer to a request for as long as its URI
// says.
func phpPool(t testing.TB, workers int) (*Pool, *fcgitest.Peer) {
	t.Helper()
	peer := fcgitest.Start(t, worksOn)
	return newPool(t, phpConfig(workers, visible(peer))), peer
}

var worksOn = fcgitest.LeavesStdin(func(s *fcgitest.Session, r *fcgitest.Request) {
	s.Send(fcgitest.Out(r.ID, fcgitest.Page), fcgitest.End(r.ID))
	if d, err := time.ParseDuration(r.Param("REQUEST_URI")); err == nil {
		s.HoldFor(d)
	}
})

// together has n requests answered at the same time, each on a connection of its own.
func together(t testing.TB, p *Pool, n int, work time.Duration) {
	t.Helper()
	var all []*Lease
	for range n {
		all = append(all, mustLease(t, p))
	}
	for _, l := range all {
		send(t, l, work.String())
		finishAnswer(t, l)
	}
	synctest.Wait()
}

func wantAtWork(t testing.TB, p *Pool, atWork, idle, capacity int) {
	t.Helper()
	synctest.Wait()
	in := p.Snapshot().Instances[0]
	if in.AtWork != atWork || in.Idle != idle || p.Capacity() != capacity {
		t.Errorf("%d at work, %d idle, capacity %d, want %d, %d, %d", in.AtWork, in.Idle, p.Capacity(), atWork, idle, capacity)
	}
}

// Requests do not wait for a process that works on: they get other connections until the
// process is back.
func TestRequestsAvoidAProcessAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, peer := phpPool(t, 3)
		together(t, p, 2, 0)
		visit(t, p, Demand{}, 10*time.Second) // on the connection that was used last
		equal(t, "the next request took", visit(t, p, Demand{}, 0), backTimeout)
		wantAtWork(t, p, 1, 1, 2)
		for range 3 {
			equal(t, "a request took", visit(t, p, Demand{}, 0), 0)
		}
		equal(t, "connections", peer.Accepted(), 2)
		if in := p.Snapshot().Instances[0]; in.WorkedOn != 1 || in.Discarded+in.Stale != 0 {
			t.Errorf("%+v", in)
		}
		time.Sleep(10 * time.Second)
		wantAtWork(t, p, 0, 1, 3) // the other one was kept for as long as connections are
		visit(t, p, Demand{}, 0)
		equal(t, "connections", peer.Accepted(), 2)
	})
}

// A process that is back in a moment is waited for.
func TestProcessIsBackInAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, peer := phpPool(t, 3)
		for range 5 {
			if d := visit(t, p, Demand{}, backTimeout-time.Millisecond); d > backTimeout {
				t.Errorf("a request took %v", d)
			}
		}
		if in := p.Snapshot().Instances[0]; in.WorkedOn != 0 || peer.Accepted() != 1 {
			t.Errorf("%d connections, %+v", peer.Accepted(), in)
		}
	})
}

// A process that works on holds a worker: no connection is made in its place. The first
// process that is back serves the request that waits.
func TestProcessesAtWorkCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, peer := phpPool(t, 2)
		together(t, p, 2, 2*time.Second)
		first, second := started(t, p, Demand{}, 0), started(t, p, Demand{}, 0)
		time.Sleep(time.Second)
		wantAtWork(t, p, 2, 0, 1)
		for _, took := range []<-chan time.Duration{first, second} {
			equal(t, "a request took", <-took, 2*time.Second)
		}
		equal(t, "connections", peer.Accepted(), 2)
	})
}

// After workMax, a process at work does not count any more.
func TestProcessAtWorkForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, peer := phpPool(t, 1)
		together(t, p, 1, time.Hour)
		if err := p.Configure(Config{Workers: 1, WorksOn: true, WaitTimeout: time.Hour}); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		l := mustLease(t, p)
		if d := time.Since(begun); d != workMax+backTimeout || !l.Fresh() {
			t.Errorf("after %v, fresh: %v", d, l.Fresh())
		}
		synctest.Wait()
		equal(t, "connections", peer.Accepted(), 2)
		l.Release()
	})
}

// One that has been idle for too long is not taken for free when its process works on.
func TestIdleProcessAtWorkKeepsItsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := phpPool(t, 2)
		together(t, p, 2, 10*time.Second)
		time.Sleep(6 * time.Second)
		wantAtWork(t, p, 2, 0, 1)
		time.Sleep(4 * time.Second)
		wantAtWork(t, p, 0, 0, 2)
	})
	// Nor is it for a request that needs a new connection.
	synctest.Test(t, func(t *testing.T) {
		p, _ := phpPool(t, 1)
		together(t, p, 1, 2*time.Second)
		begun := time.Now()
		l := leaseFor(t, p, Demand{Fresh: true})
		defer l.Release()
		if d := time.Since(begun); d != 2*time.Second || !l.Fresh() {
			t.Errorf("after %v, fresh: %v", d, l.Fresh())
		}
	})
}

// One that dies at work leaves its room.
func TestProcessDiesAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.LeavesStdin(func(s *fcgitest.Session, r *fcgitest.Request) {
			page(s, r)
			s.HoldFor(time.Second)
			s.Close()
		}))
		p := newPool(t, phpConfig(1, visible(peer)))
		together(t, p, 1, 0)
		begun := time.Now()
		l := mustLease(t, p)
		for !l.Fresh() { // in memory the end of a connection cannot be seen before
			if _, err := converse(l); err == nil {
				t.Error("answered by one that has gone")
			}
			l.Release()
			l = mustLease(t, p)
		}
		l.Release()
		equal(t, "after", time.Since(begun), time.Second)
	})
}

// Drain waits for processes at work; Remove and Close do not. If there are too many
// connections after Workers was lowered, theirs are closed.
func TestProcessAtWorkEnds(t *testing.T) {
	atWork := func(t *testing.T) *Pool {
		p, _ := phpPool(t, 2)
		together(t, p, 2, 10*time.Second)
		for range 2 {
			g := startLease(p)
			time.Sleep(backTimeout)
			g.cancel()
			if g.ended(); g.lease != nil {
				t.Error("it got a connection")
			}
		}
		wantAtWork(t, p, 2, 0, 1)
		return p
	}
	synctest.Test(t, func(t *testing.T) {
		p := atWork(t)
		begun := time.Now()
		<-p.Drain("app")
		if d := time.Since(begun); d < 9*time.Second || d > 10*time.Second {
			t.Errorf("drained after %v", d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := atWork(t)
		begun := time.Now()
		drained := p.Drain("app")
		p.Remove("app")
		<-drained
		p.Close()
		equal(t, "removed and closed after", time.Since(begun), 0)
	})
	synctest.Test(t, func(t *testing.T) {
		p := atWork(t)
		begun := time.Now()
		p.Close()
		equal(t, "closed after", time.Since(begun), 0)
	})
	synctest.Test(t, func(t *testing.T) {
		p := atWork(t)
		if err := p.Configure(phpConfig(1)); err != nil {
			t.Fatal(err)
		}
		wantAtWork(t, p, 2, 0, 1)
		l := mustLease(t, p)
		wantCounts(t, p, counts{busy: 1})
		l.Release()
	})
}

// If it cannot be seen whether a process is back, or what is seen may be a proxy, a query is
// sent.
func TestProcessIsQueried(t *testing.T) {
	for name, hide := range map[string]func(*Instance){
		"it cannot be seen": func(in *Instance) { in.Unread = nil },
		"it may be a proxy": func(in *Instance) {
			in.Unread, in.Relayed = func(net.Conn) Unread { return allRead{} }, true
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			peer := fcgitest.Start(t, worksOn)
			in := visible(peer)
			hide(&in)
			p := newPool(t, phpConfig(2, in))
			for range 3 {
				equal(t, "a request took", visit(t, p, Demand{}, 0), 0)
			}
			synctest.Wait()
			if n := len(peer.Asked()); n != 3 || peer.Accepted() != 1 {
				t.Errorf("%d queries on %d connections", n, peer.Accepted())
			}
			visit(t, p, Demand{}, 2*time.Second)
			equal(t, "the next request took", visit(t, p, Demand{}, 0), backTimeout)
			wantAtWork(t, p, 1, 1, 1)
			time.Sleep(2 * time.Second)
			wantAtWork(t, p, 0, 2, 2)
			together(t, p, 2, 0)
			equal(t, "connections", peer.Accepted(), 2)
		})
	}
}

// allRead is a proxy that reads all at once.
type allRead struct{}

func (allRead) Any() (bool, error)          { return false, nil }
func (allRead) Bytes() (int, error)         { return 0, nil }
func (allRead) Await(context.Context) error { return nil }
func (allRead) AwaitUntil(time.Time) error  { return nil }

// A process that closes its connection after a query gets none for a while. Meanwhile
// connections are kept only if it can be seen whether the process is back.
func TestProcessClosesWhenQueried(t *testing.T) {
	for name, sees := range map[string]bool{"seen": true, "not seen": false} {
		inBubble(t, name, func(t *testing.T) {
			peer := fcgitest.Start(t, worksOn)
			peer.Values(fcgitest.ValuesClose)
			in := visible(peer)
			in.Relayed = true
			if !sees {
				in.Unread = nil
			}
			p := newPool(t, phpConfig(2, in))
			for i := range 6 {
				l := mustLease(t, p)
				if _, err := converse(l); (err != nil) != (i == 1) { // in memory the end cannot be seen before
					t.Errorf("request %d: %v", i+1, err)
				}
				synctest.Wait() // the process has read the end of the request
				l.Release()
				synctest.Wait()
			}
			if n := len(peer.Asked()); n != 1 {
				t.Errorf("queried %d times, want once", n)
			}
			if sees {
				wantKeepAlive(t, p, "on", "")
				wantCounts(t, p, counts{idle: 1})
				visit(t, p, Demand{}, time.Second)
				equal(t, "the next request took", visit(t, p, Demand{}, 0), backTimeout)
				return
			}
			wantKeepAlive(t, p, "off", "nobody can tell")
			wantCounts(t, p, counts{})
			time.Sleep(queryAgainClosed)
			visit(t, p, Demand{}, 0)
			synctest.Wait()
			if n := len(peer.Asked()); n != 2 {
				t.Errorf("queried %d times, want once more", n)
			}
		})
	}
}

// A client that leaves while its request looks for a connection leaves nothing.
func TestLeavesWhileAProcessIsAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := phpPool(t, 1)
		together(t, p, 1, time.Second)
		g := startLease(p)
		g.cancel()
		time.Sleep(backTimeout)
		if !g.ended() || !errors.Is(g.err, context.Canceled) {
			t.Errorf("%v, %v", g.lease, g.err)
		}
		time.Sleep(time.Second)
		wantAtWork(t, p, 0, 1, 1)
	})
}

// A process that never replies to queries does not count as being at work for ever.
func TestProcessIsMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, worksOn)
		peer.Values(fcgitest.ValuesSilent)
		in := visible(peer)
		in.Unread = nil
		p := newPool(t, phpConfig(1, in))
		visit(t, p, Demand{}, 0)
		if d := visit(t, p, Demand{}, 0); d > muteAfter+backTimeout {
			t.Errorf("the next request took %v", d)
		}
		wantKeepAlive(t, p, "off", "nobody can tell")
		for range 3 {
			equal(t, "a request took", visit(t, p, Demand{}, 0), 0)
		}
		if n := len(peer.Asked()); n != 1 {
			t.Errorf("queried %d times, want once", n)
		}
	})
}

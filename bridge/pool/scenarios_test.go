package pool

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// A TCP backlog that stays full for longer than a request waits is no outage.
func TestFullTCPBacklogIsNotDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		var n atomic.Int32
		dial := func(ctx context.Context) (net.Conn, error) {
			if n.Add(1) == 1 {
				return peer.Dial(ctx)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		p := poolOf(t, dial, Config{Workers: 4})
		busy := mustLease(t, p)
		g := startLease(p)
		<-g.done
		if !errors.Is(g.err, ErrWaitTimeout) {
			t.Errorf("%v", g.err)
		}
		time.Sleep(3 * time.Second)
		if in := p.Snapshot().Instances[0]; in.State == "down" || in.Observed == 4 || in.DialErrors > 0 {
			t.Errorf("state %s, observed %d, dial errors %d; want full, 1, 0", in.State, in.Observed, in.DialErrors)
		}
		busy.Release()
	})
}

// A client that leaves during a restart does not fail the other requests that wait for the
// same connection.
func TestOneLeavesDuringRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.MuxPage)
		p := muxPool(t, peer, 16)
		l := leaseFor(t, p, whole)
		send(t, l, "/")
		_, _ = answer(l)
		l.Release()
		peer.Stop()
		synctest.Wait()
		a := startLeasing(p, whole)
		synctest.Wait()
		var others []*leasing
		for range 5 {
			others = append(others, startLeasing(p, whole))
		}
		time.Sleep(100 * time.Millisecond)
		a.cancel()
		time.Sleep(100 * time.Millisecond)
		peer.Resume() // 200 ms after the restart began
		for i, o := range others {
			<-o.done
			if o.err != nil {
				t.Errorf("other %d: %v after %v", i, o.err, o.after)
			} else {
				o.lease.Release()
			}
		}
	})
}

// The same while a TCP backlog is full.
func TestOneLeavesWhileBacklogIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.MuxPage)
		var slow atomic.Bool
		dial := func(ctx context.Context) (net.Conn, error) {
			if slow.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return peer.Dial(ctx)
		}
		p := poolOf(t, dial, Config{Workers: 16, Multiplex: MultiplexOn, WaitTimeout: 20 * time.Second})
		own := mustLease(t, p)
		slow.Store(true)
		a := startLeasing(p, whole)
		synctest.Wait()
		b := startLeasing(p, whole)
		time.Sleep(time.Second)
		a.cancel()
		<-b.done
		if !errors.Is(b.err, ErrWaitTimeout) {
			t.Errorf("b: %v after %v", b.err, b.after)
		}
		own.Release()
	})
}

// A request that must not be sent again does not starve behind requests that may be.
func TestNoReplayDoesNotStarve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		p := poolOf(t, peer.Dial, Config{Workers: 2, ClosesIdle: true})
		stop := make(chan struct{})
		done := make(chan struct{})
		for range 4 { // 4 at a time for 2 workers, 10 ms each
			go func() {
				defer func() { done <- struct{}{} }()
				for {
					select {
					case <-stop:
						return
					default:
					}
					l, err := p.Lease(context.Background(), whole)
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = converse(l)
					time.Sleep(10 * time.Millisecond)
					l.Release()
				}
			}()
		}
		time.Sleep(100 * time.Millisecond)
		post := startLeasing(p, Demand{Buffered: true, Body: true, NoReplay: true})
		<-post.done
		if post.err != nil {
			t.Errorf("the POST: %v after %v, with GETs of 10 ms", post.err, post.after)
		} else {
			post.lease.Release()
		}
		close(stop)
		for range 4 {
			<-done
		}
	})
}

// An application that replied to queries is replaced by one that does not.
func TestAnotherApplicationOvernight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		peer.Values(fcgitest.ValuesNo)
		p := threadedPool(t, peer, 8)
		posts := Demand{Buffered: true, Body: true, NoReplay: true}
		post := func() error {
			l, err := p.Lease(context.Background(), posts)
			if err != nil {
				return err
			}
			defer l.Release()
			_, err = converse(l)
			return err
		}
		// two at once: more than was proven, so a query is sent, and it replies
		hold := leaseFor(t, p, posts)
		if err := post(); err != nil {
			t.Fatal(err)
		}
		_, _ = converse(hold)
		hold.Release()
		time.Sleep(time.Minute) // night; idle connections are closed
		peer.Values(fcgitest.ValuesSilent)
		for range 5 {
			a := mustLease(t, p)
			b := mustLease(t, p)
			c := mustLease(t, p)
			exchange(t, a)
			if err := post(); err != nil {
				t.Errorf("POST at %d of 8 workers: %v", 4, err)
			}
			for _, l := range []*Lease{a, b, c} {
				l.Release()
			}
			time.Sleep(time.Minute)
		}
	})
}

// An idle connection is used while another request waits for a new one.
func TestIdleIsUsedWhileAnotherDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		var slow atomic.Bool
		dial := func(ctx context.Context) (net.Conn, error) {
			if slow.Load() {
				return nil, &net.OpError{Op: "dial", Net: "unix", Err: syscall.EAGAIN}
			}
			return peer.Dial(ctx)
		}
		p := poolOf(t, dial, Config{Workers: 4, ClosesIdle: true})
		var ls []*Lease
		for range 3 {
			ls = append(ls, mustLease(t, p))
		}
		for _, l := range ls {
			_, _ = converse(l)
			l.Release()
		}
		wantCounts(t, p, counts{idle: 3})
		slow.Store(true)
		post := startLeasing(p, Demand{Buffered: true, NoReplay: true})
		synctest.Wait()
		get := startLeasing(p, whole)
		<-get.done
		if get.err != nil {
			t.Errorf("a GET waited in vain for %v (%v) with 3 idle connections at its start: %+v", get.after, get.err, p.Snapshot().Instances[0])
		} else {
			get.lease.Release()
		}
		<-post.done
	})
}

// A backlog that is full for a second costs little of what the application is
// believed to hold, however many requests meet it.
func TestShortFullBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		var full atomic.Bool
		dial := func(ctx context.Context) (net.Conn, error) {
			if full.Load() {
				return nil, &net.OpError{Op: "dial", Net: "unix", Err: syscall.EAGAIN}
			}
			return peer.Dial(ctx)
		}
		p := poolOf(t, dial, Config{Workers: 16, WaitTimeout: time.Second})
		full.Store(true)
		var gs []*leasing
		for range 16 {
			gs = append(gs, startLease(p))
			time.Sleep(20 * time.Millisecond)
		}
		for _, g := range gs {
			<-g.done
		}
		full.Store(false)
		time.Sleep(time.Second)
		if in := p.Snapshot().Instances[0]; in.Observed < 8 {
			t.Errorf("after a full backlog of a second: observed %d of 16 %s; it takes %d minutes to be 16 again", in.Observed, in.State, 16-in.Observed)
		}
	})
}

// An application whose connection ends under a long-poll was there until then: what
// follows is a restart.
func TestRestartUnderLongPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		p := poolOf(t, peer.Dial, Config{Workers: 4})
		l := mustLease(t, p)
		time.Sleep(10 * time.Second)
		go peer.Restart(300 * time.Millisecond)
		_, err := l.Next(time.Now().Add(time.Minute)) // the connection ends now: the application was there until now
		l.Release()
		again := startLease(p)
		<-again.done
		if again.err != nil {
			t.Errorf("%v, then %v after %v", err, again.err, again.after)
		} else {
			again.lease.Release()
		}
	})
}

package pool

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// An application that multiplexed is replaced overnight by one that does not.
func TestEachSharedConnectionIsQueried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.MuxAfter(time.Second, fcgitest.Page))
		peer.Values(fcgitest.ValuesYes)
		other := fcgitest.Start(t, fcgitest.Hello) // one request at a time
		other.Values(fcgitest.ValuesNo)
		dial := peer.Dial
		p := newPool(t, Config{Instances: []Instance{{Addr: "app", Dial: func(ctx context.Context) (net.Conn, error) { return dial(ctx) }}}, Workers: 50, Multiplex: MultiplexAuto})
		burst := func() (shared int) {
			var all sync.WaitGroup
			var mu sync.Mutex
			for range 30 {
				all.Go(func() {
					l, err := p.Lease(context.Background(), whole)
					if err != nil {
						t.Error(err)
						return
					}
					defer l.Release()
					if l.Shared() {
						mu.Lock()
						shared++
						mu.Unlock()
					}
					time.Sleep(time.Second)
				})
			}
			all.Wait()
			return shared
		}
		// something is answered first, so that the application has served
		l := mustLease(t, p)
		_, _ = converse(l)
		l.Release()
		burst()
		time.Sleep(time.Hour)
		wantCounts(t, p, counts{})
		dial = other.Dial
		if n := burst(); n > 0 {
			t.Errorf("%d requests share a connection to an application that was not asked (%v) and does not multiplex", n, other.Asked())
		}
	})
}

// A shortage of descriptors of ours is no outage of the application.
func TestShortageIsNotTheInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		out := false
		dial := func(ctx context.Context) (net.Conn, error) {
			if out {
				return nil, &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("socket", syscall.EMFILE)}
			}
			return peer.Dial(ctx)
		}
		p := newPool(t, Config{Workers: 4, Instances: []Instance{{Addr: "app", Dial: dial}}})
		l := mustLease(t, p)
		out = true
		if _, err := p.Lease(context.Background(), Demand{Fresh: true}); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("%v, want EMFILE", err)
		}
		if in := p.Snapshot().Instances[0]; in.State != "up" || in.DialErrors != 0 {
			t.Errorf("%s after %d errors", in.State, in.DialErrors)
		}
		l.Release()
	})
}

// A request does not stay with an instance whose backlog is full while another has room.
func TestFullInstanceLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fcgitest.Start(t, fcgitest.Hello)
		p := newPool(t, Config{Workers: 8, Instances: []Instance{
			{Addr: "a", Dial: func(context.Context) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "unix", Err: syscall.EAGAIN}
			}},
			{Addr: "b", Dial: b.Dial},
		}})
		for i := range 6 {
			g := startLease(p)
			<-g.done
			if g.err != nil || g.after > time.Second {
				t.Errorf("request %d: %v after %v; b: %+v", i, g.err, g.after, p.Snapshot().Instances[1])
			}
			if g.lease != nil {
				g.lease.Release() // unused: closed
			}
			time.Sleep(time.Second)
		}
	})
}

// Nor is an instance set aside for that.
func TestFullTCPInstanceIsNotSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := fcgitest.Start(t, fcgitest.Hello), fcgitest.Start(t, fcgitest.Hello)
		n := 0
		p := newPool(t, Config{Workers: 8, Instances: []Instance{
			{Addr: "a", Dial: func(ctx context.Context) (net.Conn, error) {
				if n++; n == 1 {
					return a.Dial(ctx)
				}
				<-ctx.Done()
				return nil, ctx.Err()
			}},
			{Addr: "b", Dial: b.Dial},
		}})
		one, two := mustLease(t, p), mustLease(t, p)
		three := mustLease(t, p)
		four := mustLease(t, p)
		synctest.Wait()
		for _, in := range p.Snapshot().Instances {
			if in.State == "down" {
				t.Error("full, and marked down while it serves")
			}
		}
		for _, l := range []*Lease{one, two, three, four} {
			l.Release()
		}
	})
}

// Dials that fail together are one failure.
func TestDialsThatFailTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := fcgitest.Start(t, fcgitest.Hello), fcgitest.Start(t, fcgitest.Hello)
		var down atomic.Bool
		down.Store(true)
		p := newPool(t, Config{Workers: 16, Instances: []Instance{
			{Addr: "a", Dial: func(ctx context.Context) (net.Conn, error) {
				time.Sleep(time.Millisecond)
				if down.Load() {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
				}
				return a.Dial(ctx)
			}},
			{Addr: "b", Dial: b.Dial},
		}})
		var gs []*leasing
		for range 16 {
			gs = append(gs, startLease(p))
		}
		for _, g := range gs {
			<-g.done
			if g.err != nil {
				t.Error(g.err)
			} else {
				g.lease.Release()
			}
		}
		down.Store(false) // it was away for an instant
		time.Sleep(5 * time.Second)
		if in := p.Snapshot().Instances[0]; in.State == "down" {
			p.mu.Lock()
			t.Errorf("5 s after it is back: %s; failures %d, tried again in %v", in.State, p.instances[0].outage.failures, time.Until(p.instances[0].outage.until))
			p.mu.Unlock()
		}
	})
}

// hanging returns an instance that answers nothing while hangs is set.
func hanging(addr string, peer *fcgitest.Peer, hangs *atomic.Bool) Instance {
	return Instance{Addr: addr, Dial: func(ctx context.Context) (net.Conn, error) {
		if hangs.Load() {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return peer.Dial(ctx)
	}}
}

// A request does not wait for an instance on which another request has waited in vain. If
// there is no other instance, it fails at once, with the errors of both.
func TestSilentInstanceIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		hangs.Store(true)
		b := &switched{peer: fcgitest.Start(t, fcgitest.Hello)}
		p := newPool(t, Config{Workers: 2, Instances: []Instance{
			hanging("a", fcgitest.Start(t, fcgitest.Hello), &hangs), {Addr: "b", Dial: b.dial},
		}})
		mustLease(t, p).Release()    // has tried "a" for 2 s
		time.Sleep(10 * time.Second) // what comes now is no restart
		b.down.Store(true)
		for range 4 {
			g := startLease(p)
			<-g.done
			want := "dial b: connection refused (is the application running?); dial a: no answer in time"
			if g.err == nil || g.err.Error() != want || g.after != 0 {
				t.Errorf("%v after %v, want at once\n%s", g.err, g.after, want)
			}
		}
	})
}

// A single one is tried by each request.
func TestSingleSilentInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		hangs.Store(true)
		p := newPool(t, Config{Workers: 2, Instances: []Instance{hanging("app", fcgitest.Start(t, fcgitest.Hello), &hangs)}})
		if _, err := p.Lease(t.Context(), Demand{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		hangs.Store(false)
		serve(t, p)
	})
}

// A request that waits for another instance goes to one that is back meanwhile.
func TestSilentInstanceIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		hangs.Store(true)
		p := newPool(t, Config{Workers: 2, WaitTimeout: 10 * time.Second, Instances: []Instance{
			hanging("a", fcgitest.Start(t, fcgitest.Hello), &hangs),
			{Addr: "b", Dial: fcgitest.Start(t, fcgitest.Hello).Dial},
		}})
		for range 2 {
			l := mustLease(t, p)
			defer l.Release()
			if l.Addr() != "b" {
				t.Fatalf("leased %s", l.Addr())
			}
		}
		hangs.Store(false)
		waiting := []*leasing{startLease(p), startLease(p)} // one gets what "a" is tried with, one makes its own
		for _, g := range waiting {
			l := g.mustLease(t)
			defer l.Release()
			if l.Addr() != "a" || g.after != time.Second {
				t.Errorf("leased %s after %v, want a after 1s, when it is tried again", l.Addr(), g.after)
			}
		}
	})
}

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

// result is what a request got.
type result struct {
	out string
	err error
}

// startConverse has a request answered in a goroutine of its own, and the lease released.
func startConverse(l *Lease) <-chan result {
	c := make(chan result, 1)
	go func() {
		out, err := converse(l)
		l.Release()
		c <- result{out, err}
	}()
	return c
}

// wantFailure checks how a request failed, which must have happened by now.
func wantFailure(t testing.TB, c <-chan result, want error, replay Replay) {
	t.Helper()
	synctest.Wait()
	select {
	case a := <-c:
		var e *Error
		if !errors.As(a.err, &e) || !errors.Is(e, want) || e.Replay != replay {
			t.Errorf("answer %q, %#v, want %q, replay %v", a.out, a.err, want, replay)
		}
	default:
		t.Errorf("the request waits, want %q", want)
	}
}

// Remove cuts what is left: the application learns of it, and so does the request.
func TestRemoveCuts(t *testing.T) {
	for _, m := range []Multiplex{MultiplexOff, MultiplexOn} {
		for _, first := range []func(*Pool){func(*Pool) {}, func(p *Pool) { p.Drain("a") }} {
			synctest.Test(t, func(t *testing.T) {
				page := fcgitest.Once(func(s *fcgitest.Session, _ *fcgitest.Request) { s.Gone() })
				if m == MultiplexOn {
					page = fcgitest.MuxAfter(time.Hour, fcgitest.Page)
				}
				a := fcgitest.Start(t, page)
				p := newPool(t, Config{Workers: 4, Instances: []Instance{instanceOf("a", a)}, Multiplex: m})
				atWork, unsent := startLeasing(p, whole).mustLease(t), startLeasing(p, whole).mustLease(t)
				c := startConverse(atWork)
				synctest.Wait()
				first(p)
				drained := p.Drain("a")
				p.Remove("a")
				if !closed(drained) {
					t.Error("the drain of an instance that was removed does not end")
				}
				wantFailure(t, c, ErrRemoved, ReplayNever)
				wantFailure(t, startConverse(unsent), ErrRemoved, ReplaySafe)
				synctest.Wait()
				if n := a.Open(); n != 0 {
					t.Errorf("multiplex %v: %d connections open", m, n)
				}
			})
		}
	}
}

// The application may be at work on a request although its connection was used before.
func TestRemoveOnAKeptConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		a := fcgitest.Start(t, fcgitest.Each(func(s *fcgitest.Session, r *fcgitest.Request) {
			if n++; n > 1 {
				s.Hold()
			}
			s.Send(fcgitest.Good(r.ID))
		}))
		p := newPool(t, Config{Workers: 1, Instances: []Instance{instanceOf("a", a)}})
		serve(t, p)
		c := startConverse(mustLease(t, p))
		synctest.Wait()
		p.Remove("a")
		wantFailure(t, c, ErrRemoved, ReplayNever)
	})
}

// A removed instance is not dialled or queried, and its queue is not read.
func TestRemoveEndsWhatIsUnderWay(t *testing.T) {
	inBubble(t, "outage", func(t *testing.T) {
		var dials atomic.Int64
		p := newPool(t, Config{Workers: 1, Instances: []Instance{
			{Addr: "a", Dial: func(ctx context.Context) (net.Conn, error) {
				dials.Add(1)
				<-ctx.Done()
				return nil, ctx.Err()
			}},
			instanceOf("b", fcgitest.Start(t, fcgitest.Hello)),
		}})
		for range 2 {
			serve(t, p)
		}
		time.Sleep(2 * time.Second) // it was set aside, and is being tried
		wantCounts(t, p, counts{dialing: 1}, counts{idle: 1})
		before := dials.Load()
		p.Remove("a")
		time.Sleep(time.Hour)
		equal(t, "dials to an instance that was removed", dials.Load()-before, 0)
		serve(t, p)
	})
	inBubble(t, "a look at its queue", func(t *testing.T) {
		var looks atomic.Int64
		look := make(chan struct{})
		a := instanceOf("a", fcgitest.Start(t, fcgitest.AnswerAfter(time.Minute, fcgitest.Page)))
		a.Queue = func() (int, int, error) {
			looks.Add(1)
			<-look
			return 2, 128, nil
		}
		p := newPool(t, Config{Workers: 2, Instances: []Instance{a}})
		one, two := startConverse(mustLease(t, p)), startConverse(mustLease(t, p))
		time.Sleep(time.Second)
		p.Remove("a")
		close(look)
		time.Sleep(time.Hour)
		equal(t, "looks", looks.Load(), 1)
		wantFailure(t, one, ErrRemoved, ReplayNever)
		wantFailure(t, two, ErrRemoved, ReplayNever)
	})
	inBubble(t, "an end", func(t *testing.T) {
		a := fcgitest.Start(t, fcgitest.Hello)
		p := newPool(t, Config{Workers: 1, Instances: []Instance{instanceOf("a", a)}, KeepAlive: KeepOff, ClosesWhenFull: true})
		serve(t, p)
		p.Remove("a")
		synctest.Wait()
		equal(t, "connections open", a.Open(), 0)
	})
}

// One that is alone is tried by each request, one of several by the pool: whichever it
// is just now.
func TestOutageWhileInstancesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		since := func() int64 { synctest.Wait(); return dials.Swap(0) }
		p := newPool(t, Config{Workers: 1, Instances: []Instance{{Addr: "a", Dial: func(context.Context) (net.Conn, error) {
			dials.Add(1)
			return nil, syscall.ECONNREFUSED
		}}}})
		g := startLease(p)
		<-g.done
		time.Sleep(time.Minute)
		if n := since(); n != 1 {
			t.Fatalf("%d dials, want that of the request", n)
		}
		mustAdd(t, p, instanceOf("b", fcgitest.Start(t, fcgitest.Hello)))
		wantCapacity(t, p, 1)
		equal(t, "dials when it is not alone any more", since(), 1)
		serve(t, p)
		time.Sleep(10 * time.Second)
		if n := since(); n != 2 { // after 2 s and 6 s
			t.Errorf("%d dials in 10 s", n)
		}
		p.Remove("b")
		time.Sleep(time.Minute)
		equal(t, "dials without a request", since(), 0)
		g = startLease(p)
		<-g.done
		if n := since(); n != 1 || !errors.Is(g.err, syscall.ECONNREFUSED) {
			t.Errorf("%d dials, %v", n, g.err)
		}
	})
}

// A request that could not connect to an instance tries it again when it is added anew.
func TestAddForgetsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fcgitest.Start(t, fcgitest.Hello)
		p := newPool(t, Config{Workers: 1, Instances: []Instance{{Addr: "a", Dial: failingDial(syscall.ECONNREFUSED)}, instanceOf("b", b)}})
		p.instances[0].observed.now = 1
		held := mustLease(t, p) // of b: a is tried first
		if held.Addr() != "b" {
			t.Fatalf("a lease of %s", held.Addr())
		}
		p.up(p.instances[0]) // as if a had been back for a moment
		g := startLease(p)
		g.mustWait(t)
		p.Remove("a")
		mustAdd(t, p, instanceOf("a", b))
		if !g.ended() || g.err != nil || g.lease.Addr() != "a" {
			t.Fatalf("the request does not try the new instance: %v", g.err)
		}
		g.lease.Release()
		held.Release()
	})
}

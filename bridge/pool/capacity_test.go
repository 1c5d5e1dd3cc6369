package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// checkCapacity compares what the pool says with what it knows. The caller holds the
// mutex, which Capacity must not need.
func checkCapacity(t testing.TB, p *Pool) {
	t.Helper()
	var up, down int
	for _, in := range p.instances {
		n := max(1, in.observed.now-in.count[atWork])
		if in.outage.until.IsZero() {
			up += n
		} else {
			down += n
		}
	}
	want := up
	if up == 0 {
		want = down
	}
	if got := p.Capacity(); got != want {
		t.Errorf("capacity %d, want %d: %d of instances that are up, %d of others", got, want, up, down)
	}
}

func wantCapacity(t testing.TB, p *Pool, want int) {
	t.Helper()
	synctest.Wait()
	equal(t, "capacity", p.Capacity(), want)
}

// Capacity falls when one of two instances turns a connection away, and grows as that
// instance is believed to hold more again.
func TestCapacityOfOneThatIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := func(s *fcgitest.Session, r *fcgitest.Request) {
			s.Send(fcgitest.Out(r.ID, fcgitest.Page), fcgitest.End(r.ID))
		}
		small, large := fcgitest.Start(t, fcgitest.Threads(1, 0, page)), fcgitest.Start(t, fcgitest.Hello)
		p := newPool(t, Config{Instances: []Instance{{Addr: "small", Dial: small.Dial}, {Addr: "large", Dial: large.Dial}}, Workers: 4, ClosesWhenFull: true})
		wantCapacity(t, p, 8)
		var leases []*Lease
		for range 4 { // two to each
			l := mustLease(t, p)
			leases = append(leases, l)
			synctest.Wait() // what is turned away is closed now, before the request
			_, err := converse(l)
			if e := (*Error)(nil); err != nil && (!errors.As(err, &e) || !e.Full) {
				t.Fatal(err)
			}
		}
		wantCapacity(t, p, 5)
		for _, l := range leases {
			l.Release()
		}
		for capacity, after := range []time.Duration{growEvery, growEvery / 2, growEvery / 4} {
			time.Sleep(after - time.Nanosecond)
			wantCapacity(t, p, 5+capacity)
			time.Sleep(time.Nanosecond)
			wantCapacity(t, p, 6+capacity)
		}
		time.Sleep(time.Hour)
		wantCapacity(t, p, 8)
	})
}

// switched is a peer that can be taken down.
type switched struct {
	peer *fcgitest.Peer
	down atomic.Bool
}

func (s *switched) dial(ctx context.Context) (net.Conn, error) {
	if s.down.Load() {
		return nil, &net.OpError{Op: "dial", Net: "unix", Err: syscall.ECONNREFUSED}
	}
	return s.peer.Dial(ctx)
}

// An instance that is down holds nothing. One that is back is believed to hold all it
// should, whatever it was believed to hold before.
func TestCapacityOfOneThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &switched{peer: fcgitest.Start(t, fcgitest.Refuse(fcgitest.Overloaded))}
		b := &switched{peer: fcgitest.Start(t, fcgitest.Hello)}
		p := newPool(t, Config{Instances: []Instance{{Addr: "a", Dial: a.dial}, {Addr: "b", Dial: b.dial}}, Workers: 8})
		l := mustLease(t, p)
		if _, err := converse(l); !errors.Is(err, upstream.ErrOverloaded) {
			t.Fatal(err)
		}
		l.Release()
		wantCapacity(t, p, 1+8)
		time.Sleep(10 * time.Second) // what comes now is no restart

		a.down.Store(true)
		for range 2 { // one of them tries "a" first
			defer mustLease(t, p).Release()
		}
		time.Sleep(time.Second - time.Nanosecond)
		wantCapacity(t, p, 8)
		a.down.Store(false)
		time.Sleep(time.Nanosecond)
		wantCapacity(t, p, 16)
	})
}

// If all instances are down, all count: otherwise no request would start, and find out that
// they are back. The first instance that is back counts alone.
func TestCapacityWhenAllAreDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := []*switched{{}, {}, {}}
		cfg := Config{Workers: 5}
		for i, s := range all {
			s.peer = fcgitest.Start(t, fcgitest.Hello)
			s.down.Store(true)
			cfg.Instances = append(cfg.Instances, Instance{Addr: string(rune('a' + i)), Dial: s.dial})
		}
		p := newPool(t, cfg)
		wantCapacity(t, p, 15)
		if _, err := p.Lease(t.Context(), Demand{}); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
		wantCapacity(t, p, 15)
		for i, s := range all { // after 1, 2 and 4 s each is tried
			s.down.Store(false)
			time.Sleep(time.Second<<i - time.Nanosecond)
			wantCapacity(t, p, []int{15, 5, 10}[i])
			time.Sleep(time.Nanosecond)
			wantCapacity(t, p, []int{5, 10, 15}[i])
		}
	})
}

// A single instance that is down counts: every request tries it.
func TestCapacityOfASingleInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &switched{peer: fcgitest.Start(t, fcgitest.Hello)}
		s.down.Store(true)
		p := poolOf(t, s.dial, Config{Workers: 3})
		if _, err := p.Lease(t.Context(), Demand{}); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
		wantCapacity(t, p, 3)
		s.down.Store(false)
		serve(t, p)
		wantCapacity(t, p, 3)
	})
}

// What is turned away says nothing of what the application holds just after a
// connection to it has ended, nor if its process may have been killed.
func TestCapacityIsNotDoubtedForNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		script fcgitest.Script
		pause  time.Duration // between the end of one connection and the next that is turned away
		want   int
	}{
		"just freed":            {fcgitest.AcceptThenClose, freeWithin - time.Nanosecond, 4},
		"freed a while ago":     {fcgitest.AcceptThenClose, freeWithin, 1},
		"killed in the request": {fcgitest.ResetBeforeReading, freeWithin, 4},
	} {
		inBubble(t, name, func(t *testing.T) {
			p := threadedPool(t, fcgitest.Start(t, fcgitest.Hello, fcgitest.Hello, tc.script), 4)
			ends, stays := mustLease(t, p), mustLease(t, p)
			for _, l := range []*Lease{ends, stays} {
				exchange(t, l)
			}
			ends.dead = true // so that it is closed
			ends.Release()
			time.Sleep(tc.pause)
			l := mustLease(t, p)
			synctest.Wait()
			_, err := converse(l)
			if e := (*Error)(nil); !errors.As(err, &e) || !e.Full {
				t.Errorf("%v, want one that is full", err)
			}
			wantCapacity(t, p, tc.want)
			l.Release()
			stays.Release()
		})
	}
}

// OnCapacity is told that an instance has room for all again, whatever the reason is.
func TestOnCapacity(t *testing.T) {
	for name, end := range map[string]func(p *Pool, in *instance) error{
		"grown": func(*Pool, *instance) error { time.Sleep(time.Hour); return nil },
		"gone": func(p *Pool, in *instance) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.down(in, errors.New("no route to host"))
			return nil
		},
		"fewer workers": func(p *Pool, _ *instance) error {
			cfg := *p.config()
			cfg.Workers = 2
			return p.Configure(cfg)
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			var mu sync.Mutex
			var told []string
			p := poolOf(t, make(dialer).dial, Config{Workers: 4, OnCapacity: func(_ string, n, of int) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, fmt.Sprintf("%d of %d", n, of))
			}})
			p.mu.Lock()
			in := p.instances[0]
			p.lower(in, 2)
			p.mu.Unlock()
			time.Sleep(2 * freeWithin)
			if err := end(p, in); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			all := p.config().Workers
			mu.Lock()
			defer mu.Unlock()
			if want := []string{"2 of 4", fmt.Sprintf("%d of %d", all, all)}; !slices.Equal(told, want) {
				t.Errorf("told %v, want %v", told, want)
			}
		})
	}
}

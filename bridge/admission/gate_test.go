package admission

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m)) }

func newGate(t *testing.T, slots, size int) *Gate {
	t.Helper()
	g, err := New(Config{Slots: slots, Size: size, Timeout: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func mustAcquire(t *testing.T, g *Gate) *Grant {
	t.Helper()
	grant, err := g.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return grant
}

// acquiring is a call of Acquire in a goroutine of its own.
type acquiring struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
	grant  *Grant
	err    error
	after  time.Duration
}

func start(g *Gate) *acquiring {
	ctx, cancel := context.WithCancelCause(context.Background())
	a := &acquiring{cancel: cancel, done: make(chan struct{})}
	started := time.Now()
	go func() {
		defer close(a.done)
		a.grant, a.err = g.Acquire(ctx)
		a.after = time.Since(started)
	}()
	synctest.Wait()
	return a
}

func (a *acquiring) ended() bool {
	synctest.Wait()
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

func want(t *testing.T, g *Gate, inUse, waiting int) {
	t.Helper()
	if s := g.Snapshot(); s.InUse != inUse || s.Waiting != waiting {
		t.Errorf("%d in use, %d waiting, want %d, %d", s.InUse, s.Waiting, inUse, waiting)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, cfg := range []Config{
		{Slots: 0, Size: 1, Timeout: 1},
		{Slots: 1, Size: -1, Timeout: 1},
		{Slots: 1, Size: 1, Timeout: 0},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
}

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, 2, 10)
		a, b := mustAcquire(t, g), mustAcquire(t, g)
		c := start(g)
		if c.ended() {
			t.Fatal("a third grant of two")
		}
		want(t, g, 2, 1)
		a.Release()
		a.Release() // does nothing
		if !c.ended() || c.err != nil {
			t.Fatalf("the slot was not passed on: %v", c.err)
		}
		want(t, g, 2, 0)
		b.Release()
		c.grant.Release()
		want(t, g, 0, 0)
	})
}

func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, 1, 10)
		grant := mustAcquire(t, g)
		var line []*acquiring
		for range 5 {
			line = append(line, start(g))
		}
		for i, a := range line {
			grant.Release()
			if !a.ended() {
				t.Fatalf("number %d was passed over", i)
			}
			for _, later := range line[i+1:] {
				if later.ended() {
					t.Fatalf("somebody came before number %d", i)
				}
			}
			grant = a.grant
		}
		grant.Release()
	})
}

func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, 1, 1)
		grant := mustAcquire(t, g)
		waiting := start(g)
		refused := start(g)
		if !refused.ended() || !errors.Is(refused.err, ErrQueueFull) || refused.after != 0 {
			t.Errorf("%v after %v, want ErrQueueFull at once", refused.err, refused.after)
		}
		if n := g.Snapshot().Full; n != 1 {
			t.Errorf("%d refused, want 1", n)
		}
		grant.Release()
		<-waiting.done
		waiting.grant.Release()
	})
}

func TestNoLine(t *testing.T) {
	g := newGate(t, 1, 0)
	grant := mustAcquire(t, g)
	if _, err := g.Acquire(context.Background()); !errors.Is(err, ErrQueueFull) {
		t.Errorf("error %v, want ErrQueueFull", err)
	}
	grant.Release()
	mustAcquire(t, g).Release()
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, 1, 10)
		grant := mustAcquire(t, g)
		first := start(g)
		time.Sleep(time.Second)
		second := start(g)
		<-first.done
		if !errors.Is(first.err, ErrQueueTimeout) || first.after != 3*time.Second {
			t.Errorf("%v after %v, want ErrQueueTimeout after 3s", first.err, first.after)
		}
		want(t, g, 1, 1)
		grant.Release()
		<-second.done
		if second.err != nil || second.after != 2*time.Second {
			t.Errorf("the second: %v after %v, want a grant after 2s", second.err, second.after)
		}
		second.grant.Release()
		want(t, g, 0, 0)
		if n := g.Snapshot().TimedOut; n != 1 {
			t.Errorf("%d timed out, want 1", n)
		}
	})
}

func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, 1, 10)
		grant := mustAcquire(t, g)
		first, second := start(g), start(g)
		why := errors.New("why")
		first.cancel(why)
		<-first.done
		if !errors.Is(first.err, why) || first.after != 0 {
			t.Errorf("%v after %v, want the cause at once", first.err, first.after)
		}
		want(t, g, 1, 1)
		if n := g.Snapshot().Left; n != 1 {
			t.Errorf("%d left, want 1", n)
		}
		grant.Release()
		<-second.done
		second.grant.Release()
		want(t, g, 0, 0)
	})
}

// A request whose context has ended gets nothing, even where there is room.
func TestEndedContext(t *testing.T) {
	g := newGate(t, 1, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if grant, err := g.Acquire(ctx); !errors.Is(err, context.Canceled) || grant != nil {
		t.Errorf("%v, %v, want context.Canceled", grant, err)
	}
	want(t, g, 0, 0)
}

// One that leaves in the instant it is granted passes the slot on.
func TestLeaveInTheInstantOfTheGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, 1, 10)
		grant := mustAcquire(t, g)
		leaving, next := start(g), start(g)
		leaving.cancel(nil)
		grant.Release() // leaving has not run since
		<-leaving.done
		if leaving.grant != nil {
			t.Error("a request that had left was granted a slot")
		}
		<-next.done
		next.grant.Release()
		want(t, g, 0, 0)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, 1, 10)
		grant := mustAcquire(t, g)
		waiting := start(g)
		g.Close()
		g.Close()
		<-waiting.done
		if !errors.Is(waiting.err, ErrClosed) {
			t.Errorf("in line: %v, want ErrClosed", waiting.err)
		}
		if _, err := g.Acquire(context.Background()); !errors.Is(err, ErrClosed) {
			t.Errorf("afterwards: %v, want ErrClosed", err)
		}
		grant.Release()
		want(t, g, 0, 0)
	})
}

// Random comings and goings: never more grants than slots, nobody waits while a
// slot is free, nothing is left.
func TestRandom(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			slots, size := 1+rng.IntN(4), rng.IntN(6)
			g := newGate(t, slots, size)
			var waiting, granted []*acquiring
			for range 300 {
				switch n := rng.IntN(10); {
				case n < 5:
					waiting = append(waiting, start(g))
				case n < 6 && len(waiting) > 0:
					waiting[rng.IntN(len(waiting))].cancel(nil)
				case n < 9 && len(granted) > 0:
					i := rng.IntN(len(granted))
					granted[i].grant.Release()
					granted = append(granted[:i], granted[i+1:]...)
				default:
					time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
				}
				synctest.Wait()
				var still []*acquiring
				for _, a := range waiting {
					switch {
					case !a.ended():
						still = append(still, a)
					case a.grant != nil:
						granted = append(granted, a)
					}
				}
				waiting = still
				s := g.Snapshot()
				if s.InUse != len(granted) || s.Waiting != len(waiting) || s.InUse > slots || s.Waiting > size || s.Waiting > 0 && s.InUse < slots {
					t.Fatalf("%+v with %d granted and %d waiting", s, len(granted), len(waiting))
				}
			}
			for _, a := range granted {
				a.grant.Release()
			}
			for _, a := range waiting {
				<-a.done
				if a.grant != nil {
					a.grant.Release()
				}
			}
			want(t, g, 0, 0)
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Everybody at once, for the race detector.
func TestConcurrent(t *testing.T) {
	g := newGate(t, 3, 100)
	var all sync.WaitGroup
	var mu sync.Mutex
	most, now := 0, 0
	for range 20 {
		all.Go(func() {
			for range 200 {
				grant, err := g.Acquire(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()

				mu.Lock()
				now--
				mu.Unlock()
				grant.Release()
			}
		})
	}
	all.Wait()
	want(t, g, 0, 0)
	if most > 3 {
		t.Errorf("%d at once", most)
	}
}

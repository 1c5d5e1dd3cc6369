package admission

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func fifo(c *Config) { c.Lanes = false }

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no workers":        func(c *Config) { c.Workers = 0 },
		"negative size":     func(c *Config) { c.Size = -1 },
		"endless size":      func(c *Config) { c.Size = math.MaxInt },
		"no timeout":        func(c *Config) { c.Timeout = 0 },
		"all reserved":      func(c *Config) { c.Reserve = 8 },
		"long_min too high": func(c *Config) { c.LongMin = 7 },
		"no unknown":        func(c *Config) { c.Unknown = 0 },
		"no client limit":   func(c *Config) { c.ClientLimit = 0 },
		"no budget":         func(c *Config) { c.ClientRate = 0 },
		"not a rate":        func(c *Config) { c.ClientRate = math.NaN() },
		"endless rate":      func(c *Config) { c.ClientRate = math.Inf(1) },
		"not a burst":       func(c *Config) { c.ClientBurst = math.NaN() },
		"endless burst":     func(c *Config) { c.ClientBurst = math.Inf(1) },
		"no long_after":     func(c *Config) { c.LongAfter = 0 },
		"no routes":         func(c *Config) { c.Routes = 0 },
	} {
		cfg := Defaults(8)
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for w := range 70 {
		cfg := Defaults(w + 1)
		if _, err := New(cfg); err != nil {
			t.Errorf("the defaults of %d workers: %v", w+1, err)
		}
	}
}

func TestFIFO(t *testing.T) {
	r := newRig(t, 2, fifo)
	a, b := r.enter(page(1)).mustRun(), r.enter(poll(1)).mustRun()
	var line []*visit
	for i := range 5 {
		line = append(line, r.enter(page(uint64(i))))
	}
	for i, v := range line {
		v.mustWait()
		a.done()
		a.done() // does nothing
		v.mustRun()
		for _, later := range line[i+1:] {
			later.mustWait()
		}
		a = v
	}
	a.done()
	b.done()
}

func TestFIFOLimits(t *testing.T) {
	r := newRig(t, 1, fifo, func(c *Config) { c.Size = 2 })
	v := r.enter(page(1)).mustRun()
	first := r.enter(page(1)).mustWait()
	r.clock.pass(time.Second)
	second := r.enter(page(1)).mustWait()
	r.enter(page(1)).mustBeRefused(Full)
	r.clock.pass(2 * time.Second)
	first.mustBeRefused(TimedOut)
	if first.waited < 3*time.Second || first.waited > 3*time.Second+tick {
		t.Errorf("refused after %v, want 3s", first.waited)
	}
	second.leave()
	v.done()
	if s := r.g.Snapshot(); s.Waiting != 0 || s.Lanes["short"].Left != 1 || s.Lanes["short"].Refused["timeout"] != 1 || s.Lanes["short"].Refused["full"] != 1 {
		t.Errorf("%+v", s)
	}
	if second.settled != 0 {
		t.Error("who left was told something")
	}
}

// TestFIFOKeepsNothing: a plain queue has neither a reserve nor a limit of long requests.
func TestFIFOKeepsNothing(t *testing.T) {
	r := newRig(t, 16, fifo)
	if s := r.g.Snapshot(); s.Reserve != 0 || s.LongCap != 16 || s.MaxUpgraded != 16 {
		t.Errorf("%d reserved, %d long ones and %d upgrades may start", s.Reserve, s.LongCap, s.MaxUpgraded)
	}
}

// TestFIFOLoad: the rate and the mean time are those of late, even if the gate is never empty.
func TestFIFOLoad(t *testing.T) {
	r := newRig(t, 4, fifo)
	all := r.enter(page(1)).mustRun()
	for _, took := range []time.Duration{10 * time.Millisecond, 200 * time.Millisecond} {
		for range int(time.Minute / took) {
			v := r.enter(page(2)).mustRun()
			r.clock.pass(took)
			v.done()
		}
		s, rate := r.g.Snapshot(), 1/took.Seconds()
		if mean := took.Seconds() * 1000; math.Abs(s.ShortRate-rate) > rate/10 || math.Abs(s.ShortMean-mean) > mean/10 {
			t.Errorf("%.1f a second, mean time %.1f ms, want %.0f and %.0f", s.ShortRate, s.ShortMean, rate, mean)
		}
	}
	all.done()
}

func TestClose(t *testing.T) {
	r := newRig(t, 1)
	v := r.enter(page(1)).mustRun()
	waits := r.enter(page(2)).mustWait()
	r.g.Close()
	if !errors.Is(waits.err, ErrClosed) {
		t.Errorf("who waited was told %v", waits.err)
	}
	if late := r.enter(page(3)); !errors.Is(late.err, ErrClosed) {
		t.Errorf("who came later was told %v", late.err)
	}
	v.done()
	r.g.tick() // a tick that was due already
	if r.g.ticking {
		t.Error("ticks go on")
	}
}

func TestAcquire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := New(Defaults(1))
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		r := page(1)
		first, err := g.Acquire(t.Context(), &Request{Route: "other", Long: true})
		if err != nil {
			t.Fatal(err)
		}
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		var calls sync.WaitGroup
		calls.Go(func() {
			if _, err := g.Acquire(ctx, &r); err != gone {
				t.Errorf("who left was told %v", err)
			}
		})
		synctest.Wait()
		cancel(gone)
		calls.Wait()
		if _, err := g.Acquire(ctx, &r); err != gone {
			t.Errorf("who had left before was told %v", err)
		}
		started := time.Now()
		calls.Go(func() {
			var refusal *Refusal
			if _, err := g.Acquire(t.Context(), &r); !errors.As(err, &refusal) || refusal.Reason != TimedOut {
				t.Errorf("told %v, want a timeout", err)
			}
			if waited := time.Since(started); waited > 3*time.Second+tick {
				t.Errorf("after %v", waited)
			}
		})
		calls.Wait()
		first.Done()
		second, err := g.Acquire(t.Context(), &r)
		if err != nil || !second.Granted() {
			t.Fatalf("%v", err)
		}
		second.Release()
		if second.Granted() || g.Snapshot().InUse != 0 {
			t.Error("a slot was not given back")
		}
	})
}

// TestLeaveAndGrant: clients leave at the moment of the grant.
func TestLeaveAndGrant(t *testing.T) {
	g, err := New(Defaults(2))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			r := page(uint64(i + 1))
			for n := range 2000 {
				ctx, cancel := context.WithCancel(t.Context())
				if (n+i)%3 == 0 {
					go cancel()
				}
				ticket, err := g.Acquire(ctx, &r)
				if err == nil {
					ticket.At("here")
					if n%2 == 0 {
						ticket.Done()
					}
					ticket.Release()
				}
				cancel()
			}
		})
	}
	clients.Wait()
	if err := g.Check(); err != nil {
		t.Error(err)
	}
	if s := g.Snapshot(); s.InUse != 0 || s.Waiting != 0 {
		t.Errorf("%d in use, %d waiting at the end", s.InUse, s.Waiting)
	}
}

func TestWaitsAreCounted(t *testing.T) {
	r := newRig(t, 1, fifo)
	first := r.enter(page(1)).mustRun()
	second := r.enter(page(1)).mustWait()
	r.clock.pass(70 * time.Millisecond)
	first.done()
	second.mustRun().done()
	want := []WaitBucket{{0, 1}, {0.1, 1}}
	if got := r.g.Snapshot().Lanes["short"].Waits; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

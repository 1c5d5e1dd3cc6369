package admission

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// configure applies a change to the Config of the gate.
func (r *rig) configure(change func(*Config)) {
	r.Helper()
	cfg := r.g.cfg
	change(&cfg)
	if err := r.g.Configure(cfg); err != nil {
		r.Fatal(err)
	}
	r.check()
}

func TestConfigureRefuses(t *testing.T) {
	r := newRig(t, 8)
	before := r.g.Snapshot()
	for name, c := range map[string]struct {
		change func(*Config)
		kind   bool // ErrOtherKind
	}{
		"workers": {change: func(c *Config) { c.Workers = 0 }},
		"reserve": {change: func(c *Config) { c.Reserve = c.Workers }},
		"timeout": {change: func(c *Config) { c.Timeout = 0 }},
		"lanes":   {change: func(c *Config) { c.Lanes = false }, kind: true},
	} {
		cfg := Defaults(16)
		c.change(&cfg)
		err := r.g.Configure(cfg)
		if err == nil || !strings.Contains(err.Error(), name) || errors.Is(err, ErrOtherKind) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := r.g.Snapshot(); after.Workers != before.Workers || after.Capacity != before.Capacity || r.g.cfg.Size != Defaults(8).Size {
		t.Errorf("an error has changed %+v to %+v", before, after)
	}
	r.g.Close()
	if err := r.g.Configure(Defaults(8)); !errors.Is(err, ErrClosed) {
		t.Errorf("when it is closed: %v", err)
	}
}

// Clock, Capacity and OnStall keep their values, whatever the new Config has.
func TestConfigureKeeps(t *testing.T) {
	r := known(t, 8, func(c *Config) { c.Capacity = func() int { return 6 } })
	cfg := Defaults(16)
	cfg.Capacity = func() int { return 1 }
	cfg.OnStall = func(Stall) { t.Error("another is told of stalls") }
	cfg.Clock = newClock()
	if err := r.g.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	if s := r.g.Snapshot(); s.Workers != 16 || s.Capacity != 6 {
		t.Errorf("%d workers, %d of them there, want 16, 6", s.Workers, s.Capacity)
	}
	stuck := r.stall(3)
	if len(r.stalls) != 1 {
		t.Errorf("told of %d stalls, want 1", len(r.stalls))
	}
	r.leaveAll(stuck)
}

func TestMoreWorkers(t *testing.T) {
	for name, change := range map[string]func(*Config){"lanes": func(*Config) {}, "fifo": fifo} {
		t.Run(name, func(t *testing.T) {
			r := known(t, 2, change)
			var all []*visit
			for i := range 6 {
				all = append(all, r.enter(page(uint64(i+1))))
			}
			all[2].mustWait()
			r.configure(func(c *Config) { d := Defaults(5); d.Lanes, d.Reserve = c.Lanes, 0; *c = d })
			for _, v := range all[:5] {
				v.mustRun()
			}
			all[5].mustWait()
			if s := r.g.Snapshot(); s.Workers != 5 || s.Capacity != 5 {
				t.Errorf("%d workers, capacity %d", s.Workers, s.Capacity)
			}
			r.leaveAll(all)
		})
	}
}

// Requests in flight keep their slots, and waiting requests are not refused.
func TestFewerWorkers(t *testing.T) {
	for name, change := range map[string]func(*Config){"lanes": func(*Config) {}, "fifo": fifo} {
		t.Run(name, func(t *testing.T) {
			r := known(t, 6, change, func(c *Config) { c.Reserve = 0 })
			var all []*visit
			for i := range 9 {
				all = append(all, r.enter(page(uint64(i+1))))
			}
			r.configure(func(c *Config) { d := Defaults(2); d.Lanes, d.Reserve = c.Lanes, 0; *c = d })
			for i, v := range all[:4] {
				v.mustRun().done()
				all[6].mustWait()
				if s := r.g.Snapshot(); s.InUse != 5-i || s.Waiting != 3 {
					t.Fatalf("%d slots in use, %d wait", s.InUse, s.Waiting)
				}
			}
			all[4].mustRun().done()
			all[6].mustRun()
			all[7].mustWait()
			r.leaveAll(all[5:])
		})
	}
}

func TestShorterQueue(t *testing.T) {
	r := newRig(t, 1, fifo, func(c *Config) { c.Size, c.Timeout = 5, 3*time.Second })
	v := r.enter(page(1)).mustRun()
	old := []*visit{r.enter(page(1)).mustWait(), r.enter(page(2)).mustWait(), r.enter(page(3)).mustWait()}
	r.configure(func(c *Config) { c.Size, c.Timeout = 2, time.Second })
	for _, w := range old {
		w.mustWait()
	}
	r.enter(page(4)).mustBeRefused(Full)
	old[0].leave()
	old[1].leave()
	young := r.enter(page(4)).mustWait()
	r.clock.pass(3*time.Second - tick)
	if young.mustBeRefused(TimedOut); young.waited < time.Second || young.waited > time.Second+tick {
		t.Errorf("refused after %v, want 1s", young.waited)
	}
	old[2].mustWait()
	r.clock.pass(2 * tick)
	if old[2].mustBeRefused(TimedOut); old[2].waited < 3*time.Second {
		t.Errorf("refused after %v, was to wait for 3s", old[2].waited)
	}
	v.done()
}

func TestShorterLongQueue(t *testing.T) {
	r := newRig(t, 8)
	r.warmUp()
	var run, wait []*visit
	for i := range 12 {
		if v := r.enter(slowPoll(uint64(i + 1))); v.running() {
			run = append(run, v)
		} else {
			wait = append(wait, v.mustWait())
		}
	}
	r.configure(func(c *Config) { c.LongSize, c.LongTimeout = 1, 2*time.Second })
	r.clock.pass(15 * time.Second)
	for _, v := range wait {
		v.mustWait()
	}
	r.enter(slowPoll(90)).mustBeRefused(Full)
	r.leaveAll(wait)
	late := r.enter(slowPoll(91)).mustWait()
	r.clock.pass(2*time.Second + tick)
	late.mustBeRefused(TimedOut)
	r.leaveAll(run)
}

// Requests that wait for others of their client, route or kind are looked at at once.
func TestMoreOfAKind(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		r := known(t, 16)
		var all []*visit
		for range r.g.cfg.ClientLimit {
			all = append(all, r.enter(page(1)).mustRun())
		}
		all = append(all, r.fillUnreserved()...)
		held := r.enter(page(1)).mustWait()
		r.configure(func(c *Config) { c.ClientLimit++ })
		all = append(all, held.mustRun(), r.enter(page(1)).mustWait())
		r.leaveAll(all)
	})
	t.Run("unknown", func(t *testing.T) {
		r := known(t, 16)
		var all []*visit
		var blocked *visit
		for i := 0; blocked == nil; i++ {
			v := r.enter(Request{Route: fmt.Sprint(i), ClientKey: uint64(i + 1)})
			if all = append(all, v); !v.running() {
				blocked = v.mustWait()
			}
		}
		if len(all) != r.g.cfg.Unknown+1 {
			t.Fatalf("%d of unknown routes in flight, limit %d", len(all)-1, r.g.cfg.Unknown)
		}
		r.configure(func(c *Config) { c.Unknown++ })
		blocked.mustRun()
		r.leaveAll(all)
	})
	t.Run("route", func(t *testing.T) {
		r := known(t, 16)
		var all []*visit
		var blocked *visit
		for i := 0; blocked == nil; i++ {
			v := r.enter(page(uint64(i + 1)))
			if all = append(all, v); !v.running() {
				blocked = v.mustWait()
			}
		}
		if len(all) > 16 {
			t.Fatal("one route may have all slots")
		}
		r.configure(func(c *Config) { c.Reserve = 0 })
		blocked.mustRun()
		r.leaveAll(all)
	})
}

func TestReserveChanges(t *testing.T) {
	r := newRig(t, 16)
	r.warmUp()
	longCap := func(want int) {
		t.Helper()
		if s := r.g.Snapshot(); s.LongCap != want {
			t.Errorf("%d for long ones, want %d", s.LongCap, want)
		}
	}
	longCap(12)
	var polls []*visit
	for i := range 12 {
		polls = append(polls, r.enter(slowPoll(uint64(i+1))).mustRun())
	}
	waits := r.enter(slowPoll(90)).mustWait()
	r.configure(func(c *Config) { c.Reserve = 10 })
	longCap(6)
	for _, v := range polls[:6] {
		v.mustRun().done()
		waits.mustWait()
	}
	polls[6].done()
	waits.mustRun()
	// A slot that a long request has cannot be taken back, so LongCap rises in steps.
	r.configure(func(c *Config) { c.Reserve = 2 })
	longCap(6)
	r.clock.pass(tick)
	longCap(7)
	r.clock.pass(8 * raiseInterval)
	longCap(14)
	r.leaveAll(append(polls[7:], waits))
}

// If short requests needed all workers, they may need more of a larger number: what is known of
// them does not say that long ones may have the new workers.
func TestMoreWorkersUnderLoad(t *testing.T) {
	r := known(t, 4, func(c *Config) { c.Reserve = 0 })
	kinds := [...]func(uint64) Request{page, other}
	for range 100 {
		var run []*visit
		for i := range 4 {
			run = append(run, r.enter(kinds[i%2](uint64(i+1))).mustRun())
		}
		r.clock.pass(100 * time.Millisecond)
		for _, v := range run {
			v.done()
		}
	}
	r.configure(func(c *Config) { *c = Defaults(8) })
	free := 8 - r.g.load.need(8, r.g.cfg.WaitTarget)
	if free >= 4 {
		t.Fatalf("the load leaves %d slots", free)
	}
	if r.g.longTarget > free {
		t.Errorf("%d for long ones, the load leaves %d", r.g.longTarget, free)
	}
}

// A client's budget grows at the old rate until the change.
func TestBudgetsAreKept(t *testing.T) {
	r := known(t, 16)
	const clientKey = 7
	r.teach(page(clientKey), 1, 50*time.Millisecond)
	f := r.g.clients.table[clientKey]
	f.budget = 0
	r.g.updateBudget(f, r.g.now())
	r.clock.pass(2 * time.Second)
	r.configure(func(c *Config) { c.ClientRate, c.ClientBurst = 0.5, 100 })
	if f.budget < 3.9 || f.budget > 4.1 { // 2 s at 2 per second
		t.Errorf("the budget is %g, want 4", f.budget)
	}
	r.clock.pass(2 * time.Second)
	if r.g.updateBudget(f, r.g.now()); f.budget < 4.9 || f.budget > 5.1 {
		t.Errorf("the budget is %g, want 5", f.budget)
	}
	r.configure(func(c *Config) { c.ClientBurst = 1 })
	r.clock.pass(tick)
	if r.g.updateBudget(f, r.g.now()); f.budget != 1 {
		t.Errorf("the budget is %g, want 1", f.budget)
	}
}

// What was learned stays.
func TestConfigureForgetsNothing(t *testing.T) {
	r := newRig(t, 8)
	r.warmUp()
	r.teach(poll(0), 6, 2*time.Second)
	r.teach(page(0), 40, 20*time.Millisecond)
	r.configure(func(c *Config) { *c = Defaults(12); c.LongAfter = 3 * time.Second })
	for want, v := range map[Lane]*visit{Short: r.enter(page(1)), Long: r.enter(poll(2))} {
		if got := v.mustRun().ticket.Lane(); got != want {
			t.Errorf("taken for %v, want %v", got, want)
		}
		v.leave()
	}
}

func TestFewerAreRemembered(t *testing.T) {
	r := newRig(t, 8)
	busy := r.enter(Request{Route: "first", ClientKey: 1}).mustRun()
	for i := range 200 {
		r.enter(Request{Route: fmt.Sprint(i), Group: fmt.Sprint("group", i), ClientKey: uint64(i + 2)}).mustRun().done()
	}
	r.configure(func(c *Config) { c.Routes, c.Clients = 16, 20 })
	if n, groups := len(r.g.routes.table), len(r.g.routes.groups); n > 8 || groups > 4 {
		t.Errorf("%d routes and %d groups remembered", n, groups)
	}
	if n := len(r.g.clients.table); n != 21 {
		t.Errorf("%d clients remembered, want 20 and one that is in the gate", n)
	}
	if r.g.routes.table["first"] == nil {
		t.Error("a route with a request in the gate is forgotten")
	}
	busy.done()
}

// Requests in flight count as long by the new value from then on.
func TestLongAfterChanges(t *testing.T) {
	r := newRig(t, 8)
	r.warmUp()
	v := r.enter(page(1)).mustRun()
	r.clock.pass(500 * time.Millisecond)
	r.configure(func(c *Config) { c.LongAfter = 400 * time.Millisecond })
	if s := r.g.Snapshot(); s.Long != 1 {
		t.Errorf("%d long, want 1", s.Long)
	}
	v.done()
}

// The time of a pause of the process does not count, whichever call comes first after it.
func TestConfigureAfterSleep(t *testing.T) {
	r := newRig(t, 8)
	v := r.enter(page(1)).mustRun()
	r.clock.now = r.clock.now.Add(time.Minute)
	r.configure(func(c *Config) { c.Workers++ })
	if s := r.g.Snapshot(); s.Long != 0 {
		t.Errorf("%d long", s.Long)
	}
	v.done()
}

// A stall, and the recovery from one, goes on with another number of workers.
func TestConfigureInAStall(t *testing.T) {
	for _, workers := range []int{4, 16, 40} {
		r := known(t, 16)
		stuck := r.stall(8)
		r.configure(func(c *Config) { *c = Defaults(workers) })
		if s := r.stallState(); s != "stalled" {
			t.Errorf("%s with %d workers", s, workers)
		}
		for _, v := range stuck[1:] {
			v.leave()
		}
		stuck[0].done()
		if s := r.stallState(); s != "recovering" {
			t.Errorf("%s with %d workers", s, workers)
		}
		r.configure(func(c *Config) { *c = Defaults(workers / 2) })
		keep := r.enter(page(99)).mustRun()
		r.clock.pass(time.Duration(workers) * tick)
		if s := r.stallState(); s != "none" {
			t.Errorf("%s with %d workers", s, workers/2)
		}
		keep.done()
	}
}

// The race detector finds data that is read while Configure changes it.
func TestConfigureRaces(t *testing.T) {
	cfg := Defaults(8)
	cfg.StallAfter = time.Millisecond
	cfg.OnStall = func(Stall) {}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			r := Request{Route: fmt.Sprint("route ", i%3), ClientKey: uint64(i + 1)}
			for range 500 {
				ticket, err := g.Acquire(context.Background(), &r)
				if err != nil {
					t.Error(err)
					return
				}
				ticket.At("app")
				ticket.Done()
			}
		})
	}
	for i := range 200 {
		if err := g.Configure(Defaults(1 + i%8)); err != nil {
			t.Error(err)
		}
		g.Snapshot()
	}
	all.Wait()
	if s := g.Snapshot(); s.InUse != 0 || s.Waiting != 0 {
		t.Errorf("%d in flight, %d wait", s.InUse, s.Waiting)
	}
}

package admission

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m)) }

// handClock is a clock that a test advances.
type handClock struct {
	now time.Time
	due []*handTimer
}

type handTimer struct {
	c    *handClock
	at   time.Time
	f    func()
	live bool
}

func newClock() *handClock { return &handClock{now: time.Unix(1e9, 0)} }

func (c *handClock) Now() time.Time { return c.now }

func (c *handClock) AfterFunc(d time.Duration, f func()) Timer {
	t := &handTimer{c: c, f: f}
	c.due = append(c.due, t)
	t.Reset(d)
	return t
}

func (t *handTimer) Reset(d time.Duration) bool {
	was := t.live
	t.at, t.live = t.c.now.Add(d), true
	return was
}

func (t *handTimer) Stop() bool {
	was := t.live
	t.live = false
	return was
}

// pass advances the clock, and calls the timers that become due at their times.
func (c *handClock) pass(d time.Duration) {
	end := c.now.Add(d)
	for {
		var next *handTimer
		for _, t := range c.due {
			if t.live && !t.at.After(end) && (next == nil || t.at.Before(next.at)) {
				next = t
			}
		}
		if next == nil {
			c.now = end
			return
		}
		if next.at.After(c.now) { // else the timer is late
			c.now = next.at
		}
		next.live = false
		next.f()
	}
}

// pause advances the clock, and calls the timers that became due only at its end, as if the process
// had been suspended.
func (c *handClock) pause(d time.Duration) {
	c.now = c.now.Add(d)
	c.pass(0)
}

// rig is a gate with a clock of its own.
type rig struct {
	*testing.T
	g      *Gate
	clock  *handClock
	stalls []Stall

	started func(*entry) // called with each entry that starts, if set
}

func newRig(t *testing.T, workers int, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{T: t, clock: newClock()}
	cfg := Defaults(workers)
	cfg.Clock = r.clock
	cfg.OnStall = func(s Stall) { r.stalls = append(r.stalls, s) }
	for _, f := range change {
		f(&cfg)
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.g = g
	t.Cleanup(func() {
		r.check()
		if s := g.Snapshot(); s.InUse != 0 && !t.Failed() {
			t.Errorf("%d slots in use at the end", s.InUse)
		}
		g.Close()
	})
	return r
}

// warmUp lets LongCap rise to its value without load.
func (r *rig) warmUp() {
	r.Helper()
	for range 30 {
		r.enter(Request{Route: "warm up"}).mustRun().done()
		r.clock.pass(raiseInterval)
	}
}

func (r *rig) check() {
	r.Helper()
	if err := r.g.Check(); err != nil {
		r.Error(err)
	}
}

// visit is a request in the gate.
type visit struct {
	r       *rig
	ticket  Ticket
	settled int
	left    bool // given back
	err     error
	since   time.Time
	waited  time.Duration // until it was settled
	limit   time.Duration // the longest that it might have waited, by any Config since it came
}

func (v *visit) Settle(err error) {
	v.settled++
	v.err = err
	v.waited = v.r.clock.now.Sub(v.since)
	if err == nil && v.r.started != nil && v.ticket.Valid() {
		v.r.started(v.ticket.e)
	}
}

// enter asks for a slot and checks the invariants.
func (r *rig) enter(req Request) *visit {
	r.Helper()
	v := &visit{r: r, since: r.clock.now}
	t, err := r.g.Enter(&req, v)
	v.ticket = t
	if err != nil {
		v.err = err
		v.settled++
	}
	if r.started != nil && t.Granted() {
		r.started(t.e)
	}
	r.check()
	return v
}

// come is enter without the checks, for one of many requests.
func (r *rig) come(req Request) *visit {
	v := &visit{r: r, since: r.clock.now}
	v.ticket, v.err = r.g.Enter(&req, v)
	if v.err != nil {
		v.settled++
	}
	return v
}

// page, other and poll return requests of well-known kinds.
func page(clientKey uint64) Request { return Request{Route: "GET html /page", ClientKey: clientKey} }

func other(clientKey uint64) Request { return Request{Route: "GET html /other", ClientKey: clientKey} }

func poll(clientKey uint64) Request { return Request{Route: "GET json /poll", ClientKey: clientKey} }

func slowPoll(clientKey uint64) Request {
	return Request{Route: "poll", ClientKey: clientKey, Long: true}
}

func (v *visit) running() bool { return v.ticket.Granted() }

func (v *visit) done() {
	v.r.Helper()
	v.left = true
	v.ticket.Done()
	v.r.check()
}

func (v *visit) leave() {
	v.r.Helper()
	v.left = true
	v.ticket.Release()
	v.r.check()
}

func (v *visit) mustRun() *visit {
	v.r.Helper()
	if !v.running() {
		v.r.Fatalf("not started: %v", v.err)
	}
	return v
}

func (v *visit) mustWait() *visit {
	v.r.Helper()
	if v.running() || v.settled > 0 {
		v.r.Fatalf("started %v, settled with %v: should wait", v.running(), v.err)
	}
	return v
}

func (v *visit) mustBeRefused(why Reason) *Refusal {
	v.r.Helper()
	var refusal *Refusal
	if !errors.As(v.err, &refusal) || refusal.Reason != why || v.settled != 1 {
		v.r.Fatalf("settled %d times, with %v, want %v once", v.settled, v.err, why)
	}
	if refusal.RetryAfter < minRetry || refusal.RetryAfter > maxRetry {
		v.r.Errorf("to come again after %v", refusal.RetryAfter)
	}
	return refusal
}

// teach passes n requests of a kind through the gate, one after the other, that take d each.
func (r *rig) teach(req Request, n int, d time.Duration) {
	r.Helper()
	for range n {
		v := r.enter(req).mustRun()
		r.clock.pass(d)
		v.done()
	}
}

// known returns a rig with two routes that are known to be short.
func known(t *testing.T, workers int, change ...func(*Config)) *rig {
	t.Helper()
	r := newRig(t, workers, change...)
	r.warmUp()
	r.teach(page(0), 40, 50*time.Millisecond)
	r.teach(other(0), 40, 50*time.Millisecond)
	return r
}

// fillUnreserved starts requests of others until no slot can be borrowed.
func (r *rig) fillUnreserved() (all []*visit) {
	r.Helper()
	for i := 0; r.g.inUse < r.g.slots-r.g.reserve; i++ {
		all = append(all, r.enter(other(uint64(90_000+i))).mustRun())
	}
	return all
}

func (r *rig) leaveAll(visits []*visit) {
	r.Helper()
	for _, v := range visits {
		v.ticket.Release()
	}
	r.check()
}

// emptyNow gives back every slot and every place in a queue.
func (r *rig) emptyNow() {
	for _, c := range [...]*chain[entry]{&r.g.young, &r.g.old} {
		for e := c.first(); e != nil; e = c.first() {
			Ticket{r.g, e, e.seq}.Release()
		}
	}
	for len(r.g.deadlines) > 0 {
		e := r.g.deadlines[0]
		Ticket{r.g, e, e.seq}.Release()
	}
	r.check()
}

package admission

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestRandom has everything happen in a random order, and looks after each step
// for what must never be.
func TestRandom(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6, 7, 8, rand.Uint64()}
	if s := os.Getenv("SLUICE_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			workers := []int{1, 2, 3, 4, 5, 8, 16, 33}[rnd.IntN(8)]
			d := &day{rnd: rnd, rig: newRig(t, workers, func(c *Config) {
				c.Lanes = rnd.IntN(8) > 0
				c.Routes, c.Flows = 16+rnd.IntN(40), 16+rnd.IntN(40)
				c.Size, c.LongSize = 1+rnd.IntN(60), rnd.IntN(60)
				c.Timeout = time.Duration(100+rnd.IntN(3000)) * time.Millisecond
				if c.Lanes && workers > 1 && rnd.IntN(3) == 0 {
					c.Reserve = rnd.IntN(workers)
					c.LongMin = min(c.LongMin, workers-c.Reserve)
				}
			})}
			d.capacity, d.able = workers, make(map[use]time.Duration)
			d.started = d.mayStart
			d.g.cfg.Capacity = func() int { return d.capacity }
			for range 3000 {
				d.step()
				if t.Failed() {
					t.FailNow()
				}
			}
			d.end()
		})
	}
}

type day struct {
	*rig
	rnd      *rand.Rand
	visits   []*visit
	capacity int
	stalled  bool                  // nothing ends just now
	able     map[use]time.Duration // who waits, and since when it could start
	asked    time.Duration         // when all were asked last
}

// use is one use of an entry.
type use struct {
	e   *entry
	seq uint64
}

func (d *day) step() {
	d.limits(func() {
		switch d.rnd.IntN(20) {
		case 0, 1, 2, 3, 4, 5, 6:
			d.visits = append(d.visits, d.enter(d.request()))
		case 7, 8, 9, 10, 11:
			if v := d.any(); v != nil && (!d.stalled || !v.running()) {
				v.done()
				v.done() // does nothing
			}
		case 12:
			if v := d.any(); v != nil {
				v.leave()
			}
		case 13:
			if v := d.any(); v != nil && d.rnd.IntN(4) == 0 {
				v.ticket.Streaming()
			}
		case 14:
			if v := d.any(); v != nil {
				v.ticket.At("unix:/run/app.sock")
			}
		case 15:
			if d.rnd.IntN(20) == 0 {
				d.capacity = d.rnd.IntN(d.g.cfg.Workers + 2)
			}
		case 16:
			if d.rnd.IntN(30) == 0 {
				d.stalled = !d.stalled
			}
		case 17:
			if d.rnd.IntN(30) == 0 {
				d.g.RefuseWaiting(Down)
				d.check()
			}
		default:
			d.clock.pass(time.Duration(d.rnd.ExpFloat64() * float64(60*time.Millisecond)))
		}
	})
}

func (d *day) request() Request {
	r := Request{
		Route: fmt.Sprintf("GET html /a/%d", d.rnd.IntN(6)), Group: "GET html /a",
		Flow: uint64(d.rnd.IntN(12)), Shared: d.rnd.IntN(4) == 0, Method: "GET", Path: "/a",
	}
	switch d.rnd.IntN(6) {
	case 0:
		r.Long = d.rnd.IntN(2) == 0
		r.Route, r.Group = "GET json /poll", ""
	case 1:
		r.Route, r.Group = fmt.Sprintf("GET html /b/%d", d.rnd.IntN(1000)), "GET html /b"
	}
	return r
}

func (d *day) any() *visit {
	live := d.visits[:0]
	for _, v := range d.visits {
		if v.running() || v.settled == 0 && !v.left {
			live = append(live, v)
		}
	}
	d.visits = live
	if len(live) == 0 {
		return nil
	}
	return live[d.rnd.IntN(len(live))]
}

// limits runs f and checks what started meanwhile against what the gate allows.
func (d *day) limits(f func()) {
	g := d.g
	before := make(map[*entry]uint64)
	for _, c := range []*chain[entry]{&g.young, &g.old} {
		for l := c.head; l != nil; l = l.next {
			before[l.of] = l.of.seq
		}
	}
	stopped := g.stall.phase.stopped()
	f()
	d.check()
	d.passedOver()
	probes := 0
	for _, c := range []*chain[entry]{&g.young, &g.old} {
		for l := c.head; l != nil; l = l.next {
			if seq, was := before[l.of]; l.of.lane.class() == fast && !(was && seq == l.of.seq) {
				probes++
			}
		}
	}
	if stopped && g.stall.phase.stopped() && probes > 1 {
		d.Errorf("%d started in a stall", probes)
	}
	for _, v := range d.visits {
		if v.settled > 1 {
			d.Errorf("settled %d times", v.settled)
		}
		limit := g.cfg.Timeout
		if g.cfg.Lanes {
			limit = max(limit, g.cfg.LongTimeout)
		}
		waited := v.waited
		if v.settled == 0 && !v.running() && !v.left {
			waited = d.clock.now.Sub(v.since)
		}
		var refusal *Refusal
		if errors.As(v.err, &refusal) && refusal.Lane.class() == fast && refusal.Reason == TimedOut && !g.cfg.Lanes {
			limit = g.cfg.Timeout
		}
		if waited > limit+tick {
			d.Errorf("waited for %v, limit %v", waited, limit)
		}
	}
}

// passedOver asks of everyone who waits whether it could start: a tick may not have
// found it yet, the next one must have.
func (d *day) passedOver() {
	g, now := d.g, d.g.now()
	for id, since := range d.able {
		switch {
		case id.e.seq != id.seq || id.e.state != waiting || !g.couldStart(id.e, now):
			delete(d.able, id)
		case now-since > 2*tick:
			d.Errorf("a %v request could start, and has waited for %v since it could", id.e.lane, now-since)
		}
	}
	if now == d.asked || !g.cfg.Lanes {
		return
	}
	d.asked = now
	for _, e := range g.deadlines {
		if id := (use{e, e.seq}); d.able[id] == 0 && g.couldStart(e, now) {
			d.able[id] = now
		}
	}
}

// mayStart checks what has just been started.
func (d *day) mayStart(e *entry) {
	g := d.g
	if g.in > g.w {
		d.Errorf("%d in flight in %d slots", g.in, g.w)
	}
	if e.lane == Long && g.phi > g.longCap && g.in > 1 {
		d.Errorf("a long one started, now %d of %d", g.phi, g.longCap)
	}
	if f := e.flow; !f.shared && (f.fast > g.cfg.FlowLimit || f.slow > g.cfg.FlowLimit) {
		d.Errorf("a flow has %d and %d in flight, may have %d", f.fast, f.slow, g.cfg.FlowLimit)
	}
}

// end has everyone leave or finish, and expects the gate to be empty.
func (d *day) end() {
	for len(d.visits) > 0 {
		v := d.any()
		if v == nil {
			break
		}
		v.done()
	}
	d.clock.pass(time.Minute)
	for v := d.any(); v != nil; v = d.any() {
		v.done()
	}
	d.clock.pass(time.Minute)
	g := d.g
	if g.in != 0 || len(g.deadlines) != 0 || g.phi != 0 || g.unknown.young+g.unknown.aged != 0 || g.ticks {
		d.Errorf("at the end: %d in flight, %d waiting, %d long, %d unknown, ticking %v", g.in, len(g.deadlines), g.phi, g.unknown.young+g.unknown.aged, g.ticks)
	}
	for i := range 1000 { // each forgets some of those that are too many
		d.enter(Request{Route: fmt.Sprintf("GET html /c/%d", i%2), Group: "GET html /c"}).done()
	}
	if n := len(g.routes.table); n > g.cfg.Routes {
		d.Errorf("%d routes remembered, limit %d", n, g.cfg.Routes)
	}
	if n := len(g.flows.table); n > g.cfg.Flows {
		d.Errorf("%d flows remembered, limit %d", n, g.cfg.Flows)
	}
}

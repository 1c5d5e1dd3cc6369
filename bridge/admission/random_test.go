package admission

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/seeds"
)

// TestRandom does everything that a gate can do in a random order, and checks the invariants after
// each step.
func TestRandom(t *testing.T) {
	for seed := range seeds.Of(t, 9) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { playRandom(t, seed) })
	}
}

// Seeds that have found faults which are mended.
func TestRandomFound(t *testing.T) {
	for seed, fault := range map[uint64]string{
		1607947526: "short requests that had become mixed waited while no short one could start, though mixed ones could",
	} {
		t.Run(fmt.Sprint(seed, ": ", fault), func(t *testing.T) { playRandom(t, seed) })
	}
}

func playRandom(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	workers := []int{1, 2, 3, 4, 5, 8, 16, 33}[rnd.IntN(8)]
	lanes := rnd.IntN(8) > 0
	d := &day{rnd: rnd, rig: newRig(t, workers, func(c *Config) { draw(rnd, c, lanes) })}
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
}

// draw gives a gate random limits.
func draw(rnd *rand.Rand, c *Config, lanes bool) {
	c.Lanes = lanes
	c.Routes, c.Clients = 16+rnd.IntN(40), 16+rnd.IntN(40)
	c.Size, c.LongSize = 1+rnd.IntN(60), rnd.IntN(60)
	c.Timeout = time.Duration(100+rnd.IntN(3000)) * time.Millisecond
	if c.Workers > 1 && rnd.IntN(3) == 0 {
		c.Reserve = rnd.IntN(c.Workers)
		c.LongMin = min(c.LongMin, c.Workers-c.Reserve)
	}
	c.MaxUpgraded = 1 + rnd.IntN(c.Workers-c.Reserve)
}

type day struct {
	*rig
	rnd      *rand.Rand
	visits   []*visit
	capacity int
	stalled  bool                  // no request ends at present
	able     map[use]time.Duration // waiting requests, and since when each could start
	asked    time.Duration         // when passedOver last ran
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
			if v := d.any(); v != nil && d.rnd.IntN(8) == 0 {
				v.ticket.Nested(1 + d.rnd.IntN(3))
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
		case 18:
			if d.rnd.IntN(30) == 0 {
				d.reconfigure()
			}
		default:
			d.clock.pass(time.Duration(d.rnd.ExpFloat64() * float64(60*time.Millisecond)))
		}
	})
}

// reconfigure changes the Config, which refuses nobody. Afterwards the derived values are those of
// a new gate.
func (d *day) reconfigure() {
	g := d.g
	workers := []int{1, 2, 3, 4, 5, 8, 16, 33}[d.rnd.IntN(8)]
	if d.rnd.IntN(2) == 0 {
		workers = g.cfg.Workers
	}
	cfg := Defaults(workers)
	draw(d.rnd, &cfg, g.cfg.Lanes)
	cfg.LongTimeout = time.Duration(1000+d.rnd.IntN(20000)) * time.Millisecond
	cfg.LongAfter = time.Duration(100+d.rnd.IntN(2000)) * time.Millisecond
	cfg.StallAfter = time.Duration(500+d.rnd.IntN(2000)) * time.Millisecond
	cfg.ClientLimit = 1 + d.rnd.IntN(2*workers)
	cfg.SpentLimit = 1 + d.rnd.IntN(cfg.ClientLimit)
	cfg.ClientRate, cfg.ClientBurst = 0.1+d.rnd.Float64()*4, 0.1+d.rnd.Float64()*8
	before, clock := g.Snapshot(), g.now()
	if err := g.Configure(cfg); err != nil {
		d.Fatal(err)
	}
	d.check()
	after := g.Snapshot()
	for lane, s := range after.Lanes {
		if !maps.Equal(s.Refused, before.Lanes[lane].Refused) || s.Left != before.Lanes[lane].Left {
			d.Errorf("somebody is refused: %+v, was %+v", s, before.Lanes[lane])
		}
	}
	if after.InUse < before.InUse || after.InUse+after.Waiting != before.InUse+before.Waiting || g.now() != clock {
		d.Errorf("%d in flight and %d waiting, were %d and %d", after.InUse, after.Waiting, before.InUse, before.Waiting)
	}
	cfg.Capacity = g.cfg.Capacity
	fresh, err := New(cfg)
	if err != nil {
		d.Fatal(err)
	}
	fresh.remeasure()
	if got, want := derived(g), derived(fresh); got != want {
		d.Errorf("goes by %v, a new one by %v", got, want)
	}
	if g.longCap > g.slots-g.reserve || g.longTarget > g.slots-g.reserve {
		d.Errorf("%d for long ones, going to %d, of %d slots and a reserve of %d", g.longCap, g.longTarget, g.slots, g.reserve)
	}
}

func derived(g *Gate) [10]int {
	return [...]int{g.maxUpgraded, g.slots, g.reserve, g.unknownLimit, g.clientLimit, g.spentLimit, g.longMin, g.routes.maxKnown, g.routes.maxFresh, g.clients.max}
}

func (d *day) request() Request {
	r := Request{
		Route: fmt.Sprintf("GET html /a/%d", d.rnd.IntN(6)), Group: "GET html /a",
		ClientKey: uint64(d.rnd.IntN(12)), Shared: d.rnd.IntN(4) == 0, Method: "GET", Path: "/a",
	}
	if d.rnd.IntN(2) == 0 {
		r.Address = uint64(100 + d.rnd.IntN(4))
	}
	if d.rnd.IntN(8) == 0 {
		r.ClientKey, r.Shared = uint64(1000+d.rnd.IntN(1000)), false // made-up keys
	}
	switch d.rnd.IntN(6) {
	case 0:
		r.Long = d.rnd.IntN(2) == 0
		r.Upgrade = d.rnd.IntN(4) == 0
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

// limits runs f and compares what has started meanwhile with what the gate allows.
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
			v.limit = max(v.limit, limit) // it may wait for as long as when it came
		}
		if limit = max(limit, v.limit); waited > limit+tick {
			d.Errorf("waited for %v, limit %v", waited, limit)
		}
	}
}

// passedOver looks for waiting requests that could start. One tick may have passed over such a
// request; the next must start it.
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

// mayStart checks an entry that has just started.
func (d *day) mayStart(e *entry) {
	g := d.g
	if g.inUse > g.slots {
		d.Errorf("%d in flight in %d slots", g.inUse, g.slots)
	}
	besideUpgrades := !e.upgrade && g.upgradesInUse > 0 && g.longInUse-g.upgradesInUse <= g.longMin && g.longInUse <= g.slots-g.reserve
	if e.lane == Long && g.longInUse > g.longCap && g.inUse > 1 && e.depth == 0 && !besideUpgrades {
		d.Errorf("a long one started, now %d of %d", g.longInUse, g.longCap)
	}
	n := int(e.client.slow)
	if e.lane.class() == fast {
		n = int(e.client.fast)
	}
	if !e.client.shared && n > g.cfg.ClientLimit && e.depth == 0 && g.inUse > g.slots-g.reserve {
		d.Errorf("a client has %d in flight, may have %d, and the reserve is touched", n, g.cfg.ClientLimit)
	}
	if e.borrows && (g.inUse > g.slots-g.reserve || g.stall.phase != answering) {
		d.Errorf("a request borrowed a slot, now %d in flight, of %d and a reserve of %d", g.inUse, g.slots, g.reserve)
	}
}

// end lets all requests leave or finish, and expects the gate to be empty.
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
	if g.inUse != 0 || len(g.deadlines) != 0 || g.longInUse != 0 || g.unknown.young+g.unknown.aged != 0 || g.ticking {
		d.Errorf("at the end: %d in flight, %d waiting, %d long, %d unknown, ticking %v", g.inUse, len(g.deadlines), g.longInUse, g.unknown.young+g.unknown.aged, g.ticking)
	}
	if len(g.addresses) > 0 || g.borrowed != 0 || g.nesting.inFlight != 0 || g.upgrades != 0 {
		d.Errorf("at the end: %d clients, %d borrowed slots, %d nested, %d upgrades", len(g.addresses), g.borrowed, g.nesting.inFlight, g.upgrades)
	}
	for i := range 1000 { // each request forgets some of the surplus
		d.enter(Request{Route: fmt.Sprintf("GET html /c/%d", i%2), Group: "GET html /c"}).done()
	}
	if n := len(g.routes.table); n > g.cfg.Routes {
		d.Errorf("%d routes remembered, limit %d", n, g.cfg.Routes)
	}
	if n := len(g.clients.table); n > g.cfg.Clients {
		d.Errorf("%d clients remembered, limit %d", n, g.cfg.Clients)
	}
}

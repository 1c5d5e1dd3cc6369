package admission

import (
	"fmt"
	"testing"
	"time"
)

func TestColdStart(t *testing.T) {
	r := newRig(t, 16)
	r.warmUp()
	var polls []*visit
	for i := range 24 {
		polls = append(polls, r.enter(poll(uint64(i+1))))
	}
	running := func() (n int) {
		for _, v := range polls {
			if v.running() {
				n++
			}
		}
		return n
	}
	if n := running(); n != 6 {
		t.Errorf("%d requests of an unknown route were started, want 6: nobody else wants the slots, and two places of unknown requests are left", n)
	}
	// Pages of another unknown route need not wait.
	r.teach(page(100), 5, 20*time.Millisecond)
	if lane := r.g.Snapshot().Routes[0].Lane; lane != Short {
		t.Errorf("the page's lane is %v after five of them", lane)
	}
	r.clock.pass(time.Second + tick)
	if n := running(); n != 12 {
		t.Errorf("%d polls run when two have aged, want W-R = 12", n)
	}
	r.clock.pass(9 * time.Second)
	var first []*visit
	for _, v := range polls {
		if v.running() {
			first = append(first, v)
		}
	}
	for _, v := range first {
		v.done()
	}
	if n := running(); n != 12 {
		t.Errorf("%d polls run when the first twelve have ended, want the other 12", n)
	}
	if again := r.enter(poll(1)).mustWait(); again.ticket.Lane() != Long {
		t.Errorf("the next poll's lane is %v", again.ticket.Lane())
	} else {
		again.leave()
	}
	for _, v := range polls {
		v.done()
		if v.settled > 1 || v.err != nil {
			t.Errorf("settled %d times: %v", v.settled, v.err)
		}
	}
}

func TestColdStartOpensUp(t *testing.T) {
	r := newRig(t, 16)
	a := r.enter(page(1)).mustRun()
	c, d, e := r.enter(page(3)).mustWait(), r.enter(page(4)).mustWait(), r.enter(page(5)).mustWait()
	b := r.enter(page(2)).mustWait()
	a.done()
	c.mustRun()
	d.mustRun()
	e.mustRun()
	b.mustWait()
	c.done()
	b.mustRun()
	for _, v := range []*visit{b, c, d, e} {
		v.done()
	}
}

// TestReserve: more declared polls than may run, and short requests besides.
func TestReserve(t *testing.T) {
	for w, most := range map[int]int{1: 1, 2: 1, 3: 2, 4: 2, 8: 6, 16: 12, 64: 48} {
		t.Run(fmt.Sprint(w), func(t *testing.T) {
			r := newRig(t, w)
			r.warmUp()
			r.teach(page(1), knownSamples, 10*time.Millisecond)
			var polls []*visit
			for range 2 * w {
				polls = append(polls, r.enter(Request{Route: "poll", Long: true}))
			}
			running := 0
			for _, v := range polls {
				if v.running() {
					running++
				}
			}
			if running != most {
				t.Errorf("%d long requests run, want %d", running, most)
			}
			if w > 1 {
				r.enter(page(1)).mustRun().done()
			}
			for _, v := range polls {
				v.leave()
			}
		})
	}
}

func TestParkedPollsAreToldWhenToComeBack(t *testing.T) {
	r := newRig(t, 4, func(c *Config) { c.LongSize = 1 })
	r.warmUp()
	long := Request{Route: "poll", Long: true}
	a, b := r.enter(long).mustRun(), r.enter(long).mustRun()
	parked := r.enter(long).mustWait()
	if refusal := r.enter(long).mustBeRefused(Full); refusal.Lane != Long {
		t.Errorf("refused in lane %v", refusal.Lane)
	}
	r.clock.pass(18*time.Second - time.Millisecond)
	parked.mustWait()
	r.clock.pass(2*time.Second + tick)
	if refusal := parked.mustBeRefused(TimedOut); refusal.Lane != Long {
		t.Errorf("refused in lane %v", refusal.Lane)
	}
	a.done()
	b.done()
}

// TestLongCapFollowsTheLoad: the more short requests there are, the more workers the gate leaves to
// them.
func TestLongCapFollowsTheLoad(t *testing.T) {
	r := newRig(t, 16)
	r.warmUp()
	if n := r.g.Snapshot().LongCap; n != 12 {
		t.Errorf("%d without load, want 12", n)
	}
	// Ten workers' worth of short requests: 500 per second of 20 ms.
	for range 3000 {
		v := r.enter(page(0))
		r.clock.pass(2 * time.Millisecond)
		v.done()
	}
	if n := r.g.Snapshot().LongCap; n != 12 {
		t.Errorf("%d with a worker's load, want 12", n)
	}
	var flight []*visit
	for range 3000 {
		flight = append(flight, r.enter(page(0)).mustRun())
		if len(flight) == 10 {
			flight[0].done()
			flight = flight[1:]
		}
		r.clock.pass(2 * time.Millisecond)
	}
	busy := r.g.Snapshot().LongCap
	if busy < 4 || busy > 6 {
		t.Errorf("%d with ten workers' load, want 4 to 6: Erlang says 6, of ten that never wait", busy)
	}
	for _, v := range flight {
		v.done()
	}
	for range 100 {
		r.enter(page(0)).done()
		r.clock.pass(time.Second)
	}
	if n := r.g.Snapshot().LongCap; n != 12 {
		t.Errorf("%d when it is quiet again, want 12", n)
	}
}

func TestNeed(t *testing.T) {
	for _, c := range []struct {
		rate, mean float64
		w, want    int
	}{
		{0, 0.02, 16, 0},
		{8, 0.02, 16, 1},     // C(1, .16) e^-4.2 = 0.24 %
		{100, 0.02, 16, 3},   // 2 Erlang: C(3, 2) e^-5 = 0.3 %
		{480, 0.02, 16, 11},  // 9.6 Erlang: C(11, 9.6) e^-7 = 0.06 %; C(10, 9.6) e^-2 = 11 %
		{1000, 0.02, 16, 16}, // 20 Erlang: more than there are
	} {
		l := load{rate: c.rate, total: 100, totSum: 100 * c.mean, totSq: 200 * c.mean * c.mean} // exponential
		if n := l.need(c.w, 100*time.Millisecond); n != c.want {
			t.Errorf("%v per second of %v s: %d of %d workers, want %d", c.rate, c.mean, n, c.w, c.want)
		}
	}
}

func TestAgeing(t *testing.T) {
	r := newRig(t, 8)
	r.teach(page(0), knownSamples, 10*time.Millisecond)
	v := r.enter(page(0)).mustRun()
	r.clock.pass(time.Second - time.Millisecond)
	if n := r.g.Snapshot().Long; n != 0 {
		t.Errorf("%d long after 0.999 s", n)
	}
	r.clock.pass(time.Millisecond + tick)
	if s := r.g.Snapshot(); s.Long != 1 || s.Lanes["short"].Aged != 1 {
		t.Errorf("%d long after a second, %d aged", s.Long, s.Lanes["short"].Aged)
	}
	v.ticket.At("unix:/run/app.sock") // it is sent only now
	if n := r.g.Snapshot().Long; n != 0 {
		t.Errorf("%d long after it was sent", n)
	}
	v.ticket.Streaming()
	if n := r.g.Snapshot().Long; n != 1 {
		t.Errorf("a stream of events does not count as long")
	}
	v.done()
	if s := r.g.Snapshot(); s.Long != 0 || s.Routes[0].Long != 1 {
		t.Errorf("%d long at the end, learned %d", s.Long, s.Routes[0].Long)
	}
}

// TestRouteThatTurnsSlow: a route that turns slow leaves the reserve to other routes from the first
// moment, and is mixed when two of its requests have aged.
func TestRouteThatTurnsSlow(t *testing.T) {
	r := newRig(t, 8)
	r.teach(page(0), 20, 10*time.Millisecond)
	other := Request{Route: "GET html /other"}
	r.teach(other, 20, 10*time.Millisecond)
	var slow []*visit
	for range 8 {
		slow = append(slow, r.enter(page(0)))
	}
	slow[6].mustWait()
	r.enter(other).mustRun().done()
	r.clock.pass(500 * time.Millisecond)
	r.enter(other).mustRun().done() // and nothing is stalled
	r.clock.pass(500*time.Millisecond + tick)
	for range 12 {
		r.enter(other).mustRun().done() // and nothing is stalled
		r.clock.pass(500 * time.Millisecond)
	}
	slow[7].mustWait() // as a mixed one it may
	if lane := slow[7].ticket.Lane(); lane != Mixed {
		t.Errorf("the route's lane is %v", lane)
	}
	for _, v := range slow[:6] {
		v.done()
	}
	slow[7].mustRun()
	for _, v := range slow[6:] {
		v.leave()
	}
}

func TestNewRoutesAreTakenForTheirGroup(t *testing.T) {
	r := newRig(t, 16)
	wiki := func(i int) Request {
		return Request{Route: fmt.Sprintf("GET html /wiki/%d", i), Group: "GET html /wiki"}
	}
	for i := range 20 {
		r.teach(wiki(i), 1, 10*time.Millisecond)
	}
	r.teach(page(0), knownSamples, 10*time.Millisecond)
	var pages []*visit
	for i := range 13 {
		pages = append(pages, r.enter(wiki(100+i)))
	}
	for _, v := range pages[:12] {
		if v.mustRun().ticket.Lane() != Short {
			t.Errorf("a page's lane is %v", v.ticket.Lane())
		}
	}
	pages[12].mustWait() // all of them may be slow, for what is known
	for range 21 {
		r.enter(page(0)).mustRun().done() // nothing is stalled
		r.clock.pass(tick)
	}
	next := r.enter(wiki(200))
	if lane := next.ticket.Lane(); lane != Unknown {
		t.Errorf("the next page's lane is %v", lane)
	}
	next.leave()
	for _, v := range pages {
		v.leave()
	}
}

// TestFloodOfUnknown: slow requests for ever new routes take no more slots than unknown requests
// may.
func TestFloodOfUnknown(t *testing.T) {
	r := newRig(t, 16)
	r.teach(page(0), 100, 10*time.Millisecond)
	var flood []*visit
	for i := range 200 {
		flood = append(flood, r.enter(Request{Route: fmt.Sprint("GET html /", i)}))
		r.clock.pass(50 * time.Millisecond)
		if v := r.enter(page(0)); !v.running() {
			t.Fatalf("i %d %+v\n%+v", i, r.g.Snapshot(), r.g.unknown)
		} else {
			v.done()
		}
	}
	running := 0
	for _, v := range flood {
		if v.running() {
			running++
		}
	}
	if running > 15 { // one is always left
		t.Errorf("%d of the flood run", running)
	}
	for _, v := range flood {
		v.leave()
	}
}

func TestCapacityFallsAndRises(t *testing.T) {
	capacity := 8
	r := newRig(t, 8, func(c *Config) { c.Capacity = func() int { return capacity } })
	r.teach(page(0), knownSamples, 10*time.Millisecond)
	capacity = 3
	r.warmUp()
	first := r.enter(page(0)).mustRun()
	r.clock.pass(tick)
	if s := r.g.Snapshot(); s.Capacity != 3 || s.Reserve != 1 || s.LongCap != 2 {
		t.Errorf("capacity %d, reserve %d, longs %d, want 3, 1, 2", s.Capacity, s.Reserve, s.LongCap)
	}
	visits := []*visit{first, r.enter(page(0)).mustRun(), r.enter(page(0)).mustRun()}
	waits := r.enter(page(0)).mustWait()
	capacity = 0 // it is taken for 1
	r.clock.pass(tick)
	visits[0].done()
	visits[1].done()
	waits.mustWait()
	visits[2].done()
	waits.mustRun()
	next := r.enter(page(0)).mustWait()
	capacity = 100
	r.clock.pass(tick)
	next.mustRun().done()
	if n := r.g.Snapshot().Capacity; n != 8 {
		t.Errorf("capacity %d, want 8", n)
	}
	waits.done()
}

// TestIdleApplicationTakesALongRequest: short requests have needed the only worker, and then only a
// long one comes.
func TestIdleApplicationTakesALongRequest(t *testing.T) {
	r := newRig(t, 1)
	r.teach(page(0), 100, 60*time.Millisecond)
	if n := r.g.Snapshot().LongCap; n != 0 {
		t.Fatalf("long requests may have %d slots beside short ones that need all", n)
	}
	waits := r.enter(Request{Route: "poll", Long: true}).mustWait()
	r.clock.pass(idleAfter - tick)
	waits.mustWait()
	r.clock.pass(2 * tick)
	waits.mustRun().done()
}

// TestOldestPollIsFirst: a route becomes long while its requests wait. Later requests must not
// overtake them.
func TestOldestPollIsFirst(t *testing.T) {
	r := newRig(t, 16)
	r.warmUp()
	anybody := Request{Route: "GET json /poll", ClientKey: 5, Shared: true}
	var polls []*visit
	for range 24 {
		polls = append(polls, r.enter(anybody))
	}
	for range 6 {
		r.clock.pass(10 * time.Second)
		var running []*visit
		for _, v := range polls {
			if v.running() {
				running = append(running, v)
			}
		}
		for _, v := range running {
			v.done()
			polls = append(polls, r.enter(anybody)) // and again
		}
	}
	for i, v := range polls {
		if v.err != nil {
			t.Errorf("poll %d was refused after %v: %v", i, v.waited, v.err)
		}
		if !v.left {
			v.leave()
		}
	}
}

// TestNoPollStarves: tabs of several people poll from a cold start on.
func TestNoPollStarves(t *testing.T) {
	for name, clientKey := range map[string]func(i int) uint64{
		"each its own": func(i int) uint64 { return uint64(i + 1) },
		"one address":  func(int) uint64 { return 5 },
		"nobody":       func(int) uint64 { return 0 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 16)
			type tab struct {
				*visit
				ends time.Time
			}
			ask := func(i int) *tab {
				return &tab{visit: r.enter(Request{Route: "GET json /poll", ClientKey: clientKey(i), Shared: name == "one address"})}
			}
			var tabs []*tab
			for i := range 24 {
				tabs = append(tabs, ask(i))
			}
			for range 60 * 20 {
				r.clock.pass(tick)
				r.enter(page(0)).done()
				for i, v := range tabs {
					switch {
					case v.err != nil:
						t.Fatalf("tab %d was refused after %v: %v", i, v.waited, v.err)
					case v.running() && v.ends.IsZero():
						v.ends = r.clock.now.Add(10 * time.Second)
					case v.running() && !r.clock.now.Before(v.ends):
						v.done()
						tabs[i] = ask(i)
					}
				}
			}
			for _, v := range tabs {
				v.leave()
			}
		})
	}
}

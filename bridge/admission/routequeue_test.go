package admission

import (
	"fmt"
	"testing"
	"time"
)

// TestRouteQueueGoesOnWhenItsFirstLeaves: the first request of a route's queue is unblocked, waits
// for a slot, and leaves.
func TestRouteQueueGoesOnWhenItsFirstLeaves(t *testing.T) {
	r := newRig(t, 2)
	cold := func(clientKey uint64) Request { return Request{Route: "cold", ClientKey: clientKey} }
	r.teach(other(1), knownSamples, 20*time.Millisecond)
	a, busy := r.enter(cold(1)).mustRun(), r.enter(other(2)).mustRun()
	b, c := r.enter(cold(3)).mustWait(), r.enter(cold(4)).mustWait()
	next := r.enter(other(5)).mustWait()
	busy.done() // b and c must wait for a
	next.mustRun()
	last := r.enter(other(6)).mustWait()
	a.leave() // b is next in the queue, but another client holds the slot
	last.mustRun()
	b.mustWait().leave()
	next.done()
	last.done()
	r.clock.pass(tick)
	c.mustRun().done()
}

// mixedRoutes returns a rig with 16 slots, all in use, and two mixed routes a and b.
func mixedRoutes(t *testing.T, clients ...uint64) (r *rig, polls, slowA, slowB []*visit, a, b Request) {
	t.Helper()
	r = newRig(t, 16)
	r.warmUp()
	a, b = Request{Route: "a", ClientKey: clients[0]}, Request{Route: "b", ClientKey: clients[1]}
	r.teach(Request{Route: "a"}, 36, 20*time.Millisecond)
	r.teach(Request{Route: "b"}, 36, 20*time.Millisecond)
	for range 12 {
		polls = append(polls, r.enter(slowPoll(0)).mustRun())
	}
	for range 2 {
		slowA = append(slowA, r.enter(Request{Route: "a"}).mustRun())
		slowB = append(slowB, r.enter(Request{Route: "b"}).mustRun())
	}
	for i := range slowA {
		slowA[i].ticket.Streaming()
		slowB[i].ticket.Streaming()
	}
	return r, polls, slowA, slowB, a, b
}

// TestQueueOfARecoveredRoute: requests wait because their route is mixed. When it is short again,
// they need no slot of long requests.
func TestQueueOfARecoveredRoute(t *testing.T) {
	r, polls, slowA, slowB, a, b := mixedRoutes(t, 1, 2)
	polls[0].leave() // one slot is free, but not for long requests
	first := r.enter(a).mustWait()
	second, third := r.enter(b).mustWait(), r.enter(b).mustWait()
	slowB[0].done()
	r.clock.pass(tick)
	second.mustRun()
	third.mustRun()
	first.mustWait()
	r.leaveAll(append(append(polls[1:], slowA...), slowB[1], first, second, third))
}

// TestRecoveredRouteBehindAnother: requests of two mixed routes wait in one client's queue. The
// second one may start first.
func TestRecoveredRouteBehindAnother(t *testing.T) {
	for name, clientKey := range map[string]uint64{"nobody": 0, "a client": 7} {
		t.Run(name, func(t *testing.T) {
			r, polls, slowA, slowB, a, b := mixedRoutes(t, clientKey, clientKey)
			first, behind := r.enter(a).mustWait(), r.enter(b).mustWait()
			slowB[0].done()
			r.clock.pass(tick)
			behind.mustRun()
			first.mustWait()
			r.leaveAll(append(append(polls, slowA...), slowB[1], first, behind))
		})
	}
}

// TestMixedRouteBehindOneThatMayHaveLess: requests of two mixed routes wait. One route may have
// more slots than the other, because the other one is busy.
func TestMixedRouteBehindOneThatMayHaveLess(t *testing.T) {
	r := newRig(t, 16)
	r.warmUp()
	a, b := Request{Route: "a"}, Request{Route: "b"}
	r.teach(a, 40, 20*time.Millisecond)
	var flight []*visit
	for range 10 * 90 { // b uses six workers for a minute and a half
		flight = append(flight, r.enter(b))
		if len(flight) == 7 {
			flight[0].done()
			flight = flight[1:]
		}
		r.clock.pass(100 * time.Millisecond)
	}
	for _, v := range flight {
		v.done()
	}
	for range 16 {
		flight = append(flight, r.enter(slowPoll(0)))
	}
	slow := []*visit{r.enter(a).mustRun(), r.enter(a).mustRun()}
	for r.g.inUse < 16 {
		slow = append(slow, r.enter(b).mustRun())
	}
	for _, v := range slow {
		v.ticket.Streaming()
	}
	a.ClientKey, b.ClientKey = 1, 2
	first, behind := r.enter(a).mustWait(), r.enter(b).mustWait()
	for _, v := range slow[len(slow)-3:] {
		v.leave()
	}
	r.clock.pass(tick)
	first.mustWait()
	behind.mustRun()
	for _, v := range append(append(flight, slow...), first, behind) {
		v.leave()
	}
}

// TestManyThatBecomeShort: more requests of a mixed route wait than short ones may. When the route
// is short again, requests of other routes have their turn between them.
func TestManyThatBecomeShort(t *testing.T) {
	r := newRig(t, 16)
	r.warmUp()
	r.teach(page(0), 40, 20*time.Millisecond)
	r.teach(other(0), 40, 20*time.Millisecond)
	var polls []*visit
	for range 12 {
		polls = append(polls, r.enter(slowPoll(0)).mustRun())
	}
	slow := r.fill(2)
	for _, v := range slow {
		v.ticket.Streaming()
	}
	var count []*visit
	for i := range 2 * r.g.cfg.Size {
		v := &visit{r: r, since: r.clock.now}
		p := page(uint64(1000 + i))
		if v.ticket, v.err = r.g.Enter(&p, v); v.err != nil {
			t.Fatalf("request %d: %v", i, v.err)
		}
		count = append(count, v)
	}
	for _, v := range append(slow, polls[0]) {
		v.done()
	}
	for i := range 40 {
		v := r.enter(other(uint64(5000 + i)))
		r.clock.pass(20 * time.Millisecond)
		for _, c := range count {
			if c.running() {
				c.ticket.Done()
			}
		}
		v.mustRun().done()
	}
	r.clock.pass(tick)
	for _, v := range append(polls[1:], count...) {
		v.ticket.Done()
	}
}

// TestUnknownBehindOthersInQueue: long and slow unknown requests leave no place for unknown ones. A
// request whose route is known by now waits behind others that stay unknown.
func TestUnknownBehindOthersInQueue(t *testing.T) {
	r := newRig(t, 16)
	r.warmUp()
	r.teach(page(0), 20, 20*time.Millisecond)
	r.teach(Request{Route: "new"}, knownSamples-1, 20*time.Millisecond)
	fifth := r.enter(Request{Route: "new"}).mustRun()
	slow := []*visit{r.enter(Request{Route: "slow"}).mustRun(), r.enter(Request{Route: "slow too"}).mustRun()}
	for range 14 {
		slow = append(slow, r.enter(slowPoll(0)))
	}
	slow[0].ticket.Streaming()
	slow[1].ticket.Streaming()
	for i := range 10 {
		slow = append(slow, r.enter(Request{Route: fmt.Sprint("cold ", i)}).mustWait())
	}
	last := r.enter(Request{Route: "new"}).mustWait()
	fifth.done()
	r.clock.pass(tick)
	last.mustRun().done()
	for _, v := range slow {
		v.leave()
	}
}

// TestParkedRequestOfARouteThatIsShort: a route was wrongly known as long. When the turn of a
// parked request comes, it starts in the present lane of its route.
func TestParkedRequestOfARouteThatIsShort(t *testing.T) {
	r := newRig(t, 16)
	r.warmUp()
	report := func(clientKey uint64) Request { return Request{Route: "report", ClientKey: clientKey} }
	r.teach(report(0), knownSamples, 1100*time.Millisecond) // a cold cache
	r.warmUp()
	var flight []*visit
	for i := range 12 {
		flight = append(flight, r.enter(report(uint64(i+1))).mustRun())
	}
	var parked []*visit
	for i := range 8 {
		parked = append(parked, r.enter(report(uint64(100+i))).mustWait())
	}
	for _, v := range flight[:8] {
		v.done()
	}
	if first, last := parked[0].mustRun().ticket.Lane(), parked[7].mustRun().ticket.Lane(); first != Long || last != Short {
		t.Errorf("the first was started as %v, the last as %v, want long and short", first, last)
	}
	r.leaveAll(append(flight[8:], parked...))
}

// TestParkedRequestIsFoundWhenItsRouteIsShort: the turn of the parked request does not come,
// because others were parked before it.
func TestParkedRequestIsFoundWhenItsRouteIsShort(t *testing.T) {
	r := newRig(t, 16)
	r.warmUp()
	report := func(clientKey uint64) Request { return Request{Route: "report", ClientKey: clientKey} }
	r.teach(report(0), knownSamples, 1100*time.Millisecond) // a cold cache
	r.warmUp()
	var all []*visit
	for i := range 12 {
		all = append(all, r.enter(report(uint64(i+1))).mustRun())
	}
	for i := range 12 {
		all = append(all, r.enter(slowPoll(uint64(100+i))).mustWait())
	}
	parked := r.enter(report(200)).mustWait()
	for _, v := range all[:12] {
		v.done()
	}
	r.clock.pass(tick)
	parked.mustRun()
	r.leaveAll(append(all, parked))
}

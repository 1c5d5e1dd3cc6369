package admission

import (
	"fmt"
	"testing"
	"time"
)

// TestOneRouteAndTwoSlowRequests: the application has one route only. The reserve is for other
// routes, but there are none.
func TestOneRouteAndTwoSlowRequests(t *testing.T) {
	for _, w := range []int{4, 5, 8, 16} {
		t.Run(fmt.Sprint(w), func(t *testing.T) {
			r := newRig(t, w)
			r.warmUp()
			r.teach(page(0), 50, 20*time.Millisecond)
			slow := r.fill(2)
			for i := range 300 {
				v := r.enter(page(uint64(100 + i)))
				for wait := 0; !v.running(); wait++ {
					if wait > 20 { // a second, during a suspicion
						t.Fatalf("number %d waits: %v, %s", i, v.err, r.stallState())
					}
					r.clock.pass(tick)
				}
				r.clock.pass(20 * time.Millisecond)
				v.done()
				r.clock.pass(80 * time.Millisecond)
			}
			r.leaveAll(slow)
		})
	}
}

// TestSlowWorkOfARouteDoesNotHideWhatOthersNeed: sessions are slow on one route while others use
// three workers.
func TestSlowWorkOfARouteDoesNotHideWhatOthersNeed(t *testing.T) {
	r := newRig(t, 16)
	r.teach(page(0), 60, 20*time.Millisecond)
	r.teach(other(0), 60, 20*time.Millisecond)
	var others, slow []*visit
	end := func(visits []*visit, after time.Duration) []*visit {
		live := visits[:0]
		for _, v := range visits {
			switch {
			case v.err != nil:
				t.Fatalf("%v", v.err)
			case v.running() && r.clock.now.Sub(v.since.Add(v.waited)) >= after:
				v.ticket.Done()
			default:
				live = append(live, v)
			}
		}
		return live
	}
	load := func(d time.Duration, sessions int) {
		for range d / (25 * time.Millisecond) {
			others = end(append(others, r.enter(other(0))), 75*time.Millisecond)
			slow = end(slow, 10*time.Second)
			for len(slow) < 4*sessions {
				slow = append(slow, r.enter(page(uint64(100+len(slow)))))
			}
			r.clock.pass(25 * time.Millisecond)
		}
	}
	load(time.Minute, 0)
	load(18*time.Second, 4)
	if n := r.g.routes.table[page(0).Route].othersNeed; n < 4 {
		t.Errorf("others need %d slots, for all that is believed, and use three", n)
	}
	if n := r.g.routes.table[page(0).Route].inFlight; n > 12 {
		t.Errorf("%d of 16 slots taken by one route", n)
	}
	r.leaveAll(append(others, slow...))
}

// TestLongRouteGetsAnotherChance: a route is known as long, and the load leaves no slot for long
// requests.
func TestLongRouteGetsAnotherChance(t *testing.T) {
	r := newRig(t, 4)
	r.warmUp()
	r.teach(page(0), 20, 20*time.Millisecond)
	report := Request{Route: "report", ClientKey: 1}
	r.teach(report, knownSamples, 1100*time.Millisecond) // a cold cache
	var flight []*visit
	load := func(d time.Duration) {
		for range d / (20 * time.Millisecond) {
			v := &visit{r: r}
			p := page(0)
			v.ticket, v.err = r.g.Enter(&p, v)
			if flight = append(flight, v); len(flight) == 4 {
				flight[0].ticket.Done()
				flight = flight[1:]
			}
			r.clock.pass(20 * time.Millisecond)
		}
	}
	load(20 * time.Second)
	waits := r.enter(report).mustWait()
	if lane := waits.ticket.Lane(); lane != Long {
		t.Fatalf("it waits as %v", lane)
	}
	waits.leave()
	r.clock.pass(retryLongAfter - time.Minute)
	load(time.Minute)
	v := r.enter(report)
	load(200 * time.Millisecond)
	v.mustRun().done()
	r.leaveAll(flight)
}

func TestStreamIsLong(t *testing.T) {
	r := newRig(t, 8)
	r.teach(page(0), 20, 20*time.Millisecond)
	declared := r.enter(slowPoll(1)).mustRun()
	declared.ticket.Streaming() // it is long already
	if n := r.g.Snapshot().Long; n != 1 {
		t.Errorf("%d long", n)
	}
	unknown := r.enter(Request{Route: "events"}).mustRun()
	unknown.ticket.Streaming()
	unknown.ticket.Streaming()
	unknown.ticket.At("unix:/run/app.sock") // a stream stays one
	if s := r.g.Snapshot(); s.Long != 2 || s.Lanes["unknown"].Aged != 1 {
		t.Errorf("%d long, %d unknown aged", s.Long, s.Lanes["unknown"].Aged)
	}
	unknown.done()
	declared.done()
}

// TestLongRouteIsShortAgain: a route that was wrongly long is short again soon after another
// chance.
func TestLongRouteIsShortAgain(t *testing.T) {
	r := newRig(t, 1)
	r.teach(page(0), 20, 600*time.Millisecond)
	report := Request{Route: "report"}
	for range knownSamples {
		r.clock.pass(time.Minute)
		r.teach(report, 1, 1100*time.Millisecond) // a cold cache
	}
	r.clock.pass(retryLongAfter)
	began := r.clock.now
	for r.enterAndEnd(report, 20*time.Millisecond) != Short {
		if r.clock.now.Sub(began) > 10*time.Minute {
			t.Fatalf("the route is %v after ten minutes", r.enterAndEnd(report, tick))
		}
		r.load(time.Minute)
	}
}

// load keeps the only worker busy for nine tenths of the time.
func (r *rig) load(d time.Duration) {
	r.Helper()
	for range d / (400 * time.Millisecond) {
		v := r.enter(page(0)).mustRun()
		r.clock.pass(360 * time.Millisecond)
		v.done()
		r.clock.pass(40 * time.Millisecond)
	}
}

// enterAndEnd enters a request that takes d if it starts at once, and leaves otherwise.
func (r *rig) enterAndEnd(q Request, d time.Duration) Lane {
	r.Helper()
	v := r.enter(q)
	lane := v.ticket.Lane()
	if !v.running() {
		v.leave()
		return lane
	}
	r.clock.pass(d)
	v.done()
	return lane
}

// TestSlowRequestsOfTheOnlyRoute: slow requests leave the last slot to others of their route,
// because there is no other route to keep it for.
func TestSlowRequestsOfTheOnlyRoute(t *testing.T) {
	for _, c := range []struct{ w, slow int }{{2, 1}, {3, 2}, {4, 3}, {8, 7}} {
		t.Run(fmt.Sprintf("%d of %d", c.slow, c.w), func(t *testing.T) {
			r := newRig(t, c.w)
			r.warmUp()
			r.teach(page(0), 50, 20*time.Millisecond)
			slow := r.fill(min(c.slow, c.w-min(c.w/4+1, 2)))
			for i := range 600 {
				v := r.enter(page(uint64(100 + i)))
				if len(slow) < c.slow && i == 0 {
					slow = append(slow, v.mustRun())
					continue
				}
				r.clock.pass(tick)
				for wait := 0; !v.running(); wait++ {
					if wait > 20 {
						t.Fatalf("number %d waits: %v, %s", i, v.err, r.stallState())
					}
					r.clock.pass(tick)
				}
				v.done()
				r.clock.pass(2 * tick)
			}
			r.leaveAll(slow)
		})
	}
}

// TestOthersCountFromTheStart: other routes use half a worker in the first seconds.
func TestOthersCountFromTheStart(t *testing.T) {
	r := newRig(t, 16)
	r.teach(page(0), 20, tick)
	for range 60 {
		r.teach(other(0), 1, tick)
		r.clock.pass(tick)
	}
	now := r.g.now()
	if n := r.g.unneeded(r.g.routes.table[page(0).Route], now); n == 16 {
		t.Errorf("others need nothing, for all that is believed after %v", now)
	}
}

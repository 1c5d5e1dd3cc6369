package admission

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// inner returns a request for a page that the application asks itself for.
func inner(clientKey uint64) Request {
	return Request{Route: "GET html /inner", ClientKey: clientKey, Address: 127}
}

func (v *visit) nested(depth int) *visit {
	v.r.Helper()
	v.ticket.Nested(depth)
	v.r.check()
	return v
}

// knownInner returns a rig where pages, and the pages they ask for, are known to be short.
func knownInner(t *testing.T, workers int) *rig {
	t.Helper()
	r := known(t, workers)
	r.teach(inner(0), 40, 50*time.Millisecond)
	return r
}

// TestPageThatAsksItsOwnSite: three pages of one session each ask for another page with its cookie,
// and nobody else asks for anything.
func TestPageThatAsksItsOwnSite(t *testing.T) {
	r := knownInner(t, 8)
	var pages, inside []*visit
	for range 3 {
		pages = append(pages, r.enter(page(7)).mustRun())
	}
	for range 3 {
		inside = append(inside, r.enter(inner(7)))
	}
	for _, v := range inside {
		v.mustRun()
		r.clock.pass(50 * time.Millisecond)
		v.done()
	}
	r.leaveAll(pages)
}

// TestPageThatAsksItsOwnSiteCold does so with the first request of all.
func TestPageThatAsksItsOwnSiteCold(t *testing.T) {
	r := newRig(t, 8)
	first := r.enter(page(7)).mustRun()
	inside := r.enter(page(7)).mustWait()
	r.clock.pass(2 * tick)
	inside.mustRun().done()
	first.done()
}

// TestNestedRequestsGoFirst: pages that wait for others hold all slots but those that are kept, and
// more pages wait.
func TestNestedRequestsGoFirst(t *testing.T) {
	for _, w := range []int{2, 4, 8, 16} {
		t.Run(fmt.Sprint(w), func(t *testing.T) {
			r := knownInner(t, w)
			for range knownDepthSamples { // until the depth is known
				r.enter(inner(5)).mustRun().nested(1).done()
			}
			var pages []*visit
			for i := range 2 * w {
				p := page(uint64(100 + i))
				if i%2 == 0 {
					p = other(uint64(100 + i))
				}
				pages = append(pages, r.enter(p))
			}
			if r.g.inUse != w-1 {
				t.Fatalf("%d of %d slots are taken, one is to be kept", r.g.inUse, w)
			}
			for i := range pages {
				if !pages[i].running() {
					continue
				}
				r.enter(inner(uint64(100 + i))).nested(1).mustRun().done()
				pages[i].done()
			}
			r.leaveAll(pages)
		})
	}
}

// TestNestedTwice: pages ask for others that ask for others. Each leaves the slots that requests
// nested in it need.
func TestNestedTwice(t *testing.T) {
	r := knownInner(t, 4)
	r.enter(inner(5)).mustRun().nested(2).done()
	a, b := r.enter(page(1)).mustRun(), r.enter(other(2)).mustRun()
	third := r.enter(page(3)).mustWait()
	insideA, insideB := r.enter(inner(1)).nested(1), r.enter(inner(2)).nested(1)
	insideA.mustRun()
	insideB.mustWait()
	deepest := r.enter(inner(1)).nested(2).mustRun()
	deepest.done()
	insideA.done()
	a.done()
	insideB.mustRun().done()
	b.done()
	third.mustRun().done()
}

// TestPollsAndNestedRequests: long-polls hold all that they may when the first nested request is
// found. The slots that are then kept for nested requests are not those of short ones.
func TestPollsAndNestedRequests(t *testing.T) {
	for _, w := range []int{2, 3, 4, 5, 8, 16} {
		for _, depth := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("%d workers, %d deep", w, depth), func(t *testing.T) {
				r := knownInner(t, w)
				var all []*visit
				for i := range r.g.longCap {
					all = append(all, r.enter(slowPoll(uint64(100+i))).mustRun())
				}
				r.enter(inner(5)).mustRun().nested(depth).done()
				all = append(all, r.enter(page(1)).mustRun())
				r.leaveAll(all)

				all = nil // when these have ended, later polls leave slots for a page and for requests nested in it
				for i := range w {
					all = append(all, r.enter(slowPoll(uint64(100+i))))
				}
				page := r.enter(page(1)).mustRun()
				for d := range min(depth, w-2, w/2) {
					all = append(all, r.enter(inner(1)).nested(d+1).mustRun())
				}
				r.leaveAll(append(all, page))
			})
		}
	}
}

// TestNestedRequestsTakeTurns: a page asks its own site for many others, again and again. Other
// clients have some of the slots.
func TestNestedRequestsTakeTurns(t *testing.T) {
	const takes = 50 * time.Millisecond
	for _, w := range []int{2, 4, 8} {
		t.Run(fmt.Sprint(w), func(t *testing.T) {
			r := knownInner(t, w)
			for range knownDepthSamples {
				r.enter(inner(5)).mustRun().nested(1).done()
			}
			parent := r.enter(page(7)).mustRun()
			r.clock.pass(r.g.cfg.LongAfter + tick) // it counts as long now, and not as one that ends
			asked, served := r.clock.now, 0
			var open, all, others []*visit
			r.serve(10*time.Second, takes, func() {
				live := open[:0]
				for _, v := range open {
					switch {
					case v.running() || v.settled == 0:
						live = append(live, v)
					case v.err == nil:
						served++
					}
				}
				for open = live; len(open) < 20; {
					v := r.come(inner(7))
					v.ticket.Nested(1)
					open, all = append(open, v), append(all, v)
				}
				if r.clock.now.Sub(asked) >= 500*time.Millisecond {
					asked = r.clock.now
					others = append(others, r.enter(from(500)), r.enter(session(600, 601)))
				}
			})
			r.serve(4*time.Second, takes, func() {})
			for i, v := range others {
				if v.err != nil {
					t.Errorf("request %d of others: %v", i, v.err)
				}
			}
			if most := 10 * int(time.Second/takes) * (w - 1); served < most/2 {
				t.Errorf("%d nested requests were served, of %d at most", served, most)
			}
			r.leaveAll(append(append(all, others...), parent))
		})
	}
}

// TestNestedRequestsInAStall: long nested requests wait while the application answers nobody,
// because they cannot be probes.
func TestNestedRequestsInAStall(t *testing.T) {
	r := knownInner(t, 16)
	all := []*visit{r.enter(page(1)).mustRun(), r.enter(other(2)).mustRun(), r.enter(page(3)).mustRun()}
	for r.g.stall.phase != stalled {
		r.clock.pass(100 * time.Millisecond)
		if v := r.enter(page(uint64(10 + len(all)))); r.g.stall.phase == suspected {
			all = append(all, v)
		} else {
			v.leave()
		}
	}
	in := r.g.inUse
	for i := range 10 {
		all = append(all, r.enter(slowPoll(uint64(50+i))).nested(1).mustWait())
	}
	r.clock.pass(time.Second)
	if r.g.inUse > in+1 {
		t.Errorf("%d were sent to an application that answers nobody", r.g.inUse-in)
	}
	r.leaveAll(all)
}

// TestOthersOfThisMachine: requests come through a proxy on this machine. The last slots are kept
// for some moments, until the requests are found not to be nested.
func TestOthersOfThisMachine(t *testing.T) {
	for _, w := range []int{2, 3, 8} {
		t.Run(fmt.Sprint(w), func(t *testing.T) {
			r := known(t, w)
			asked := 0
			fill := func() (all []*visit) {
				for i := range w {
					q := page(uint64(10 + i))
					if i%2 == 0 {
						q = other(uint64(10 + i))
					}
					q.Peer = peer{0, &asked}
					all = append(all, r.enter(q))
				}
				return all
			}
			all := fill()
			all[w-1].mustWait()
			r.clock.pass(2 * tick)
			all[w-1].mustRun()
			r.leaveAll(all)
			for range notNestedSamples {
				r.enter(page(1)).mustRun().nested(0).done()
			}
			for _, v := range fill() {
				defer v.mustRun().done()
			}
		})
	}
}

// TestNestedInNothingKnown: nested requests wait for slots that are kept for deeper ones. There are
// none, so they get the slots when nothing ends any more.
func TestNestedInNothingKnown(t *testing.T) {
	r := knownInner(t, 4)
	r.enter(inner(5)).mustRun().nested(2).done()
	a, b := r.enter(page(1)).mustRun(), r.enter(other(2)).mustRun()
	first, second := r.enter(inner(1)).nested(1).mustRun(), r.enter(inner(2)).nested(1).mustWait()
	r.clock.pass(time.Second)
	second.mustRun()
	r.leaveAll([]*visit{a, b, first, second})
}

// TestNestedIsForgotten: no slot is kept when there have been no nested requests for long.
func TestNestedIsForgotten(t *testing.T) {
	r := knownInner(t, 4)
	r.enter(inner(5)).mustRun().nested(1).done()
	fill := func() (all []*visit) {
		for i := range 2 {
			all = append(all, r.enter(page(uint64(10+i))), r.enter(other(uint64(20+i))))
		}
		return all
	}
	all := fill()
	all[3].mustWait()
	r.leaveAll(all)
	r.clock.pass(expectAfterStart) // it did not have to wait
	all = fill()
	all[3].mustRun()
	r.leaveAll(all)
}

// TestNestedLeavesAndEnds: nested requests leave, end and are refused as others are.
func TestNestedLeavesAndEnds(t *testing.T) {
	r := knownInner(t, 2)
	busy := []*visit{r.enter(page(1)).mustRun(), r.enter(other(2)).mustRun()}
	leaves, late := r.enter(inner(1)).nested(1).mustWait(), r.enter(inner(2)).nested(1).mustWait()
	late.nested(2) // reported twice: the first report counts
	leaves.leave()
	leaves.nested(1)
	r.clock.pass(r.g.cfg.Timeout + tick)
	late.mustBeRefused(TimedOut)
	refused := r.enter(inner(3)).nested(1).mustWait()
	r.g.RefuseWaiting(Down)
	refused.mustBeRefused(Down)
	closed := r.enter(inner(4)).nested(1).mustWait()
	r.leaveAll(busy)
	closed.mustRun().done()
	if n := r.g.Snapshot().Nested; n != 4 {
		t.Errorf("%d were nested, want 4", n)
	}
}

type peer struct {
	depth int
	asked *int
}

func (p peer) Waits(t Ticket) {
	*p.asked++
	t.Nested(p.depth)
}

// TestPeerIsToldOfWhoMustWait: Acquire calls Peer only if the request must wait.
func TestPeerIsToldOfWhoMustWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := New(Defaults(2))
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		ctx := context.Background()
		asked := 0
		request := func(depth int) *Request {
			return &Request{Route: "GET html /page", ClientKey: 1, Shared: true, Peer: peer{depth, &asked}}
		}
		first, err := g.Acquire(ctx, request(1))
		if err != nil || asked != 0 {
			t.Fatalf("%v, asked %d times", err, asked)
		}
		var wg sync.WaitGroup
		var order []int
		for depth := range 2 {
			wg.Go(func() {
				ticket, err := g.Acquire(ctx, request(depth))
				if err != nil {
					t.Error(err)
				}
				order = append(order, depth)
				ticket.Done()
			})
			synctest.Wait()
		}
		first.Done()
		wg.Wait()
		if asked != 2 || len(order) != 2 || order[0] != 1 {
			t.Errorf("asked %d times, started in the order %v, want the nested one first", asked, order)
		}
	})
}

package admission

import (
	"fmt"
	"testing"
	"time"
)

// stall makes the application answer nobody until the stall is confirmed, and returns the requests
// in flight.
func (r *rig) stall(n int) (stuck []*visit) {
	r.Helper()
	stuck = r.fill(n)
	r.clock.pass(time.Second + tick)
	for i := range confirmingProbes {
		if r.stallState() == "stalled" {
			return stuck
		}
		stuck = append(stuck, r.enter(page(uint64(1000+i))).mustRun())
		r.clock.pass(time.Second + tick)
	}
	if s := r.stallState(); s != "stalled" {
		r.Fatalf("%s after %d probes without an answer", s, confirmingProbes)
	}
	return stuck
}

func TestLongRequestsWaitForTheRecovery(t *testing.T) {
	r := newRig(t, 16)
	r.warmUp()
	r.teach(page(0), 20, 20*time.Millisecond)
	stuck := r.stall(8)
	var polls []*visit
	for range 4 {
		polls = append(polls, r.enter(Request{Route: "poll", Long: true}).mustWait())
	}
	for _, v := range stuck[1:] {
		v.leave()
	}
	stuck[0].done()
	for _, v := range polls {
		v.mustWait()
	}
	pages := []*visit{r.enter(page(50)).mustRun(), r.enter(page(51)).mustRun()}
	third := r.enter(page(52)).mustWait()
	r.clock.pass(tick)
	pages = append(pages, third.mustRun())
	r.clock.pass(16 * tick)
	for _, v := range append(polls, pages...) {
		v.mustRun().done()
	}
}

// TestRecoveryEndsWithoutLoad: after a stall, nobody comes but one who has waited for its end.
func TestRecoveryEndsWithoutLoad(t *testing.T) {
	for _, w := range []int{16, 200, 1000} {
		t.Run(fmt.Sprint(w), func(t *testing.T) {
			r := newRig(t, w)
			r.warmUp()
			r.teach(page(0), 20, 20*time.Millisecond)
			stuck := r.stall(5)
			parked := r.enter(Request{Route: "poll", Long: true}).mustWait()
			for _, v := range stuck {
				v.done()
			}
			r.clock.pass(3500 * time.Millisecond)
			if s := r.stallState(); s != "none" {
				t.Errorf("%s 3.5 s after the last answer", s)
			}
			parked.mustRun().done()
		})
	}
}

// TestStallEndsWithThoseItCaught: all clients whose requests were caught by a stall give up.
func TestStallEndsWithThoseItCaught(t *testing.T) {
	r := newRig(t, 8)
	r.teach(page(0), 20, 20*time.Millisecond)
	for _, v := range r.stall(4) {
		v.leave()
	}
	r.clock.pass(tick)
	if s := r.stallState(); s != "recovering" || len(r.stalls) != 2 {
		t.Errorf("%s, %d reports when nobody is stuck any more", s, len(r.stalls))
	}
	r.enter(page(50)).mustRun().done()
}

func TestStallSpendsNoBudget(t *testing.T) {
	r := newRig(t, 8) // a budget of four worker-seconds, and one more per second
	r.teach(page(0), 50, 20*time.Millisecond)
	stuck := []*visit{r.enter(page(1)).mustRun(), r.enter(page(1)).mustRun(), r.enter(page(2)).mustRun()}
	r.clock.pass(10 * time.Second)
	for _, v := range stuck {
		v.done()
	}
	r.clock.pass(tick)
	a, b := r.enter(page(1)).mustRun(), r.enter(page(1)).mustRun()
	for _, f := range r.g.Snapshot().ClientKeys {
		if f.Spent {
			t.Errorf("the budget of %s is spent by a stall", f.ClientKey)
		}
	}
	a.done()
	b.done()
}

// TestOwnPause: the process is suspended, and the application has long since answered.
func TestOwnPause(t *testing.T) {
	r := newRig(t, 16)
	r.warmUp()
	r.teach(page(0), 20, 20*time.Millisecond)
	request := func(i int) Request { return Request{Route: fmt.Sprint("GET html /", i), ClientKey: uint64(i + 1)} }
	flight := r.fill(3)
	for i := range 8 {
		flight = append(flight, r.enter(request(i)).mustRun())
	}
	r.clock.pause(5 * time.Second)
	if s := r.g.Snapshot(); s.Long != 0 || s.Stall.State != "none" {
		t.Errorf("%d long, stall %s after a pause", s.Long, s.Stall.State)
	}
	for _, v := range flight {
		v.done()
	}
	for i := range 8 {
		if v := r.enter(request(i)).mustRun(); v.ticket.Lane().class() != fast {
			t.Errorf("after a pause the lane is %v", v.ticket.Lane())
		} else {
			v.done()
		}
	}
}

// TestAnswersAfterAnOwnPause: the answers are read before the first tick after a pause.
func TestAnswersAfterAnOwnPause(t *testing.T) {
	r := newRig(t, 16)
	r.teach(page(0), 20, 20*time.Millisecond)
	flight := r.fill(3)
	flight = append(flight, r.enter(Request{Route: "new"}).mustRun())
	r.clock.now = r.clock.now.Add(5 * time.Second)
	for _, v := range flight {
		v.done()
	}
	r.clock.pass(0)
	if p, n := r.g.routes.table[page(0).Route].long, r.g.routes.table["new"].long; p+n != 0 {
		t.Errorf("%d and %d long after a pause", p, n)
	}
}

// TestWhoComesAfterAnOwnPauseAges: a request comes between a pause and the first tick after it.
func TestWhoComesAfterAnOwnPauseAges(t *testing.T) {
	r := newRig(t, 8)
	r.teach(page(0), 20, 20*time.Millisecond)
	before := r.enter(page(1)).mustRun()
	r.clock.now = r.clock.now.Add(5 * time.Second)
	after := r.enter(other(2)).mustRun()
	before.done()
	r.clock.pass(time.Second + tick)
	if n := r.g.Snapshot().Long; n != 1 {
		t.Errorf("%d long a second after", n)
	}
	after.done()
}

// TestOwnPauseInAStall: the process is suspended during a stall.
func TestOwnPauseInAStall(t *testing.T) {
	r := newRig(t, 8)
	r.teach(page(0), 20, 20*time.Millisecond)
	stuck := r.stall(4)
	r.clock.pause(5 * time.Second)
	stuck[0].done()
	r.clock.pass(tick)
	if s := r.g.Snapshot(); s.Long != 0 || s.Routes[0].Long != 0 {
		t.Errorf("%d long, %d learned", s.Long, s.Routes[0].Long)
	}
	r.clock.pass(time.Second)
	if n := r.g.Snapshot().Long; n != len(stuck)-1 {
		t.Errorf("%d long a second after the stall, want all %d", n, len(stuck)-1)
	}
	for _, v := range stuck[1:] {
		v.done()
	}
}

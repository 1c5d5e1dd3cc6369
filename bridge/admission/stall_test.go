package admission

import (
	"testing"
	"time"
)

// fill starts a page of each of n clients.
func (r *rig) fill(n int) (all []*visit) {
	r.Helper()
	for i := range n {
		p := page(uint64(i + 1))
		p.Method, p.Path = "GET", "/page"
		all = append(all, r.enter(p).mustRun())
	}
	return all
}

func (r *rig) stallState() string { return r.g.Snapshot().Stall.State }

func TestStall(t *testing.T) {
	r := newRig(t, 8)
	r.teach(page(0), 20, 20*time.Millisecond)
	stuck := r.fill(3)
	began := r.clock.now
	r.clock.pass(time.Second + tick)
	if s := r.stallState(); s != "suspected" {
		t.Fatalf("%s after a second without an answer", s)
	}
	probe := r.enter(page(50)).mustRun()
	waits := r.enter(page(51)).mustWait()
	r.clock.pass(time.Second + tick)
	if s := r.stallState(); s != "stalled" || len(r.stalls) != 1 {
		t.Fatalf("%s, %d reports after the probe got no answer either", s, len(r.stalls))
	}
	if s := r.stalls[0]; len(s.Held) != 4 || s.Held[0].Path != "/page" || !s.Ended.IsZero() || s.Began.Sub(began).Abs() > tick {
		t.Errorf("%+v", s)
	}
	waits.mustWait()
	// The time of the stall does not count: no request has become long.
	r.clock.pass(time.Second / 2)
	if s := r.g.Snapshot(); s.Long != 0 {
		t.Errorf("%d long in a stall", s.Long)
	}
	stuck[0].done()
	if s := r.stallState(); s != "recovering" || len(r.stalls) != 2 || r.stalls[1].Ended.IsZero() {
		t.Errorf("%s, %d reports after an answer", s, len(r.stalls))
	}
	waits.mustRun()
	for _, v := range append(stuck[1:], probe, waits) {
		v.done()
	}
	if s := r.g.Snapshot(); s.Stall.State != "none" || s.Stall.Count != 1 || s.Routes[0].Long != 0 {
		t.Errorf("%+v, %d long samples", s.Stall, s.Routes[0].Long)
	}
}

func TestStallWithAllSlotsStuck(t *testing.T) {
	r := newRig(t, 4, func(c *Config) { c.Reserve, c.LongMin = 0, 0 })
	r.teach(page(0), 20, 20*time.Millisecond)
	stuck := r.fill(4)
	parked := r.enter(Request{Route: "poll", Long: true}).mustWait()
	r.clock.pass(time.Second + tick)
	if s := r.stallState(); s != "stalled" || len(r.stalls) != 1 {
		t.Fatalf("%s, %d reports", s, len(r.stalls))
	}
	// One probe after the other is given up; each makes room for the next.
	first, second := r.enter(page(21)).mustWait(), r.enter(page(22)).mustWait()
	stuck[0].leave()
	stuck[1].leave()
	first.mustRun()
	second.mustWait()
	first.leave() // it failed
	second.mustRun()
	parked.mustWait()
	second.done()
	parked.leave()
	stuck[2].done()
	stuck[3].done()
}

// TestNoStall: two slow pages are in flight on an otherwise idle application. The next request is a
// probe, and shows that the application answers.
func TestNoStall(t *testing.T) {
	r := newRig(t, 8)
	r.teach(page(0), 20, 20*time.Millisecond)
	slow := r.fill(2)
	r.clock.pass(3 * time.Second)
	next := r.enter(page(30)).mustRun()
	r.clock.pass(20 * time.Millisecond)
	next.done()
	if s := r.stallState(); s != "none" || len(r.stalls) != 0 {
		t.Errorf("%s, %d reports", s, len(r.stalls))
	}
	for i := range 4 {
		slow = append(slow, r.enter(page(uint64(40+i))).mustRun())
	}
	for _, v := range slow {
		v.done()
	}
}

// TestOneClientIsNoStall: one session waits for its own lock.
func TestOneClientIsNoStall(t *testing.T) {
	r := newRig(t, 8)
	r.teach(page(0), 20, 20*time.Millisecond)
	a, b := r.enter(page(1)).mustRun(), r.enter(page(1)).mustRun()
	r.clock.pass(3 * time.Second)
	if s := r.stallState(); s != "none" {
		t.Errorf("%s", s)
	}
	a.done()
	b.done()
}

func TestStallRefusesWhatWillNotDrain(t *testing.T) {
	r := newRig(t, 8, func(c *Config) { c.Reserve = 0 })
	r.teach(page(0), 20, 200*time.Millisecond)
	stuck := r.fill(8)
	r.clock.pass(4*time.Second + 2*tick) // 20 times the mean
	if s := r.stallState(); s != "stalled" {
		t.Fatalf("%s", s)
	}
	var waits []*visit
	for i := range 20 { // half a second of eight workers at 200 ms
		waits = append(waits, r.enter(page(uint64(100+i))).mustWait())
	}
	r.enter(page(200)).mustBeRefused(Stalled)
	for _, v := range append(stuck, waits...) {
		v.leave()
	}
}

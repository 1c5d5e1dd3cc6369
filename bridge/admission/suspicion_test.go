package admission

import (
	"fmt"
	"testing"
	"time"
)

// newSuspicion returns a rig in which two pages of two clients are slow.
func newSuspicion(t *testing.T, workers int) (r *rig, slow []*visit) {
	t.Helper()
	r = newRig(t, workers)
	r.warmUp()
	r.teach(page(0), 50, 20*time.Millisecond)
	slow = r.fill(2)
	r.clock.pass(time.Second + tick)
	if s := r.stallState(); s != "suspected" {
		t.Fatalf("%s", s)
	}
	return r, slow
}

func TestSuspicionEndsWithThoseSuspected(t *testing.T) {
	r, slow := newSuspicion(t, 16)
	for _, v := range slow {
		v.leave()
	}
	r.clock.pass(tick)
	if s := r.stallState(); s != "none" || len(r.stalls) != 0 {
		t.Errorf("%s, %d reports when nobody is stuck any more", s, len(r.stalls))
	}
}

// TestStreamsAreNotSuspected: requests for a route that is short are answered with streams of events.
func TestStreamsAreNotSuspected(t *testing.T) {
	for _, workers := range []int{4, 16} {
		r := newRig(t, workers)
		r.warmUp()
		r.teach(page(0), 50, 20*time.Millisecond)
		streams := r.fill(2)
		for _, v := range streams {
			v.ticket.Streaming()
		}
		for range 100 {
			r.clock.pass(tick)
			if s := r.stallState(); s != "none" || len(r.stalls) != 0 {
				t.Fatalf("%d workers: %s, %d reports, though the answers have begun", workers, s, len(r.stalls))
			}
		}
		for _, v := range streams {
			v.done()
		}
	}
}

func TestSuspicionServesLongRequests(t *testing.T) {
	r, slow := newSuspicion(t, 16)
	for range 3 {
		r.enter(Request{Route: "poll", Long: true}).mustRun().done()
		r.clock.pass(tick)
	}
	for _, v := range slow {
		v.done()
	}
}

// TestSlowRequestsOfThreeClients: the probe is slow, too.
func TestSlowRequestsOfThreeClients(t *testing.T) {
	r, slow := newSuspicion(t, 16)
	slow = append(slow, r.enter(page(3)).mustRun())
	next := r.enter(page(4)).mustWait()
	r.clock.pass(time.Second)
	next.mustRun().done()
	for i := range 100 {
		r.clock.pass(500 * time.Millisecond)
		r.enter(page(uint64(10 + i))).mustRun().done()
	}
	if len(r.stalls) != 0 {
		t.Errorf("%d reports", len(r.stalls))
	}
	for _, v := range slow {
		v.done()
	}
}

// TestEarlierProbesAreForgotten: a probe is slow, and still in flight at the next suspicion.
func TestEarlierProbesAreForgotten(t *testing.T) {
	r, slow := newSuspicion(t, 4)
	other := Request{Route: "other", ClientKey: 3}
	probe := r.enter(other).mustRun()
	r.clock.pass(100 * time.Millisecond)
	for _, v := range slow {
		v.done()
	}
	r.teach(Request{Route: "another", ClientKey: 9}, 10, 150*time.Millisecond)
	slow = r.fill(2)
	r.clock.pass(time.Second + 2*tick)
	if s := r.stallState(); s != "suspected" || len(r.stalls) != 0 {
		t.Errorf("%s, %d reports, before any probe was sent", s, len(r.stalls))
	}
	for _, v := range append(slow, probe) {
		v.done()
	}
}

// TestProbeIsFoundInARoutesQueue: all clients ask for the route that is stuck.
func TestProbeIsFoundInARoutesQueue(t *testing.T) {
	r := newRig(t, 4)
	r.teach(page(0), 20, 20*time.Millisecond)
	stuck := r.fill(2)
	first, second := r.enter(page(20)).mustWait(), r.enter(page(21)).mustWait()
	r.clock.pass(time.Second + tick)
	first.mustRun()
	second.mustWait()
	r.clock.pass(time.Second + tick)
	if s := r.stallState(); s != "stalled" || len(r.stalls) != 1 {
		t.Errorf("%s, %d reports", s, len(r.stalls))
	}
	for _, v := range append(stuck, first, second) {
		v.leave()
	}
}

// TestProbeIsFoundAmongTheUnknown: only unknown requests wait.
func TestProbeIsFoundAmongTheUnknown(t *testing.T) {
	r := newRig(t, 8)
	r.teach(page(0), 20, 20*time.Millisecond)
	stuck := r.fill(2)
	for i := range r.g.cfg.Unknown {
		stuck = append(stuck, r.enter(Request{Route: fmt.Sprint("GET html /", i)}).mustRun())
	}
	waits := r.enter(Request{Route: "GET html /more"}).mustWait()
	r.clock.pass(time.Second + tick)
	waits.mustRun()
	for _, v := range append(stuck, waits) {
		v.leave()
	}
}

// TestProbesAgeStartsWhenItIsSent: the probe first waits for a connection.
func TestProbesAgeStartsWhenItIsSent(t *testing.T) {
	r, slow := newSuspicion(t, 4)
	probe := r.enter(page(3)).mustRun()
	r.clock.pass(900 * time.Millisecond)
	probe.ticket.At("unix:/run/app.sock")
	r.clock.pass(900 * time.Millisecond)
	if s := r.stallState(); s != "suspected" {
		t.Errorf("%s 0.9 s after the probe was sent", s)
	}
	r.clock.pass(200 * time.Millisecond)
	if s := r.stallState(); s != "stalled" {
		t.Errorf("%s 1.1 s after the probe was sent", s)
	}
	for _, v := range append(slow, probe) {
		v.done()
	}
}

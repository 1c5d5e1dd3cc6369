package admission

import (
	"testing"
	"time"
)

func TestInFlight(t *testing.T) {
	for _, lanes := range []bool{true, false} {
		r := newRig(t, 8, func(c *Config) { c.Lanes = lanes })
		if all := r.g.InFlight(); len(all) != 0 {
			t.Fatalf("in flight: %v", all)
		}
		r.warmUp()
		if lanes {
			r.teach(page(0), 40, 50*time.Millisecond) // or only a few would start
		}
		var visits []*visit
		for i, path := range []string{"/first", "/second", "/third"} {
			req := page(uint64(i + 1))
			req.Method, req.Path, req.Long = "GET", path, path == "/second"
			visits = append(visits, r.enter(req).mustRun())
			r.clock.pass(600 * time.Millisecond) // the first request becomes long after the second one has
		}
		visits[2].ticket.At("unix:/a")
		visits[1].ticket.Abandoned()
		all := r.g.InFlight()
		if len(all) != 3 {
			t.Fatalf("%d in flight, want 3", len(all))
		}
		for i, want := range []InFlight{
			{Path: "/first", Age: 1800 * time.Millisecond, Lane: Short, ClientKey: 1, Aged: lanes},
			{Path: "/second", Age: 1200 * time.Millisecond, Lane: Long, ClientKey: 2, Abandoned: true},
			{Path: "/third", Age: 0, Lane: Short, ClientKey: 3, Instance: "unix:/a"}, // the age counts from At
		} {
			want.Method, want.Route, want.Number = "GET", "GET html /page", visits[i].ticket.seq
			if !lanes {
				want.Lane, want.ClientKey = all[i].Lane, 0 // a plain queue knows neither
			}
			if all[i] != want {
				t.Errorf("%d: %+v, want %+v", i, all[i], want)
			}
		}
		r.leaveAll(visits)
	}
}

func TestLoad(t *testing.T) {
	r := newRig(t, 2, func(c *Config) { c.Lanes = false })
	var visits []*visit
	for i := range 5 {
		in, waiting := r.g.Load()
		if wantIn := min(i, 2); in != wantIn || waiting != i-wantIn {
			t.Errorf("after %d requests: %d in use, %d waiting", i, in, waiting)
		}
		visits = append(visits, r.enter(page(0)))
	}
	r.leaveAll(visits)
	if in, waiting := r.g.Load(); in != 0 || waiting != 0 {
		t.Errorf("at the end: %d in use, %d waiting", in, waiting)
	}
}

// RefuseWaiting refuses all waiting requests, wherever they wait. Requests in flight keep their
// slots, and later requests are treated as usual.
func TestRefuseWaiting(t *testing.T) {
	r := known(t, 4)
	r.teach(poll(0), 20, 2*time.Second)
	var running, waiting []*visit
	enter := func(req Request) {
		v := r.enter(req)
		if v.running() {
			running = append(running, v)
		} else {
			waiting = append(waiting, v.mustWait())
		}
	}
	for clientKey := range uint64(4) {
		for range 3 { // some wait for others of their own client
			enter(page(clientKey))
			enter(poll(clientKey))
			enter(slowPoll(clientKey))
			enter(Request{Route: "GET html /new", Group: "GET html", ClientKey: clientKey})
		}
	}
	if len(running) != 4 {
		t.Fatalf("%d hold slots, want 4", len(running))
	}
	r.clock.pass(100 * time.Millisecond) // until each waits in its place
	before := r.g.Snapshot()
	r.g.RefuseWaiting(Down)
	r.check()
	for _, v := range waiting {
		v.mustBeRefused(Down)
		v.leave() // does nothing
	}
	after := r.g.Snapshot()
	var refused uint64
	for _, l := range after.Lanes {
		refused += l.Refused["down"]
	}
	if after.Waiting != 0 || after.InUse != before.InUse || refused != uint64(len(waiting)) {
		t.Errorf("%d wait, %d slots in use, %d refused, want 0, %d, %d", after.Waiting, after.InUse, refused, before.InUse, len(waiting))
	}
	r.g.RefuseWaiting(Down) // nobody

	v := r.enter(page(99)).mustWait()
	for _, other := range running {
		other.done()
	}
	v.mustRun().done()
}

// The waits that the histogram counts are added up, too.
func TestWaitsAreAddedUp(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Lanes = false })
	first := r.enter(page(0)).mustRun()
	second, third := r.enter(page(0)).mustWait(), r.enter(page(0)).mustWait()
	r.clock.pass(time.Second)
	first.done()
	r.clock.pass(time.Second)
	second.done()
	third.done()
	sum := 0.0
	for _, l := range r.g.Snapshot().Lanes {
		sum += l.Waited
	}
	if sum != 3 {
		t.Errorf("waited %v s, want 3", sum)
	}
}

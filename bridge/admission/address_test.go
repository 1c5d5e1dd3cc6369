package admission

import (
	"fmt"
	"testing"
	"time"
)

// from returns a request for a known page from an address that many people may share.
func from(address uint64) Request {
	r := page(address)
	r.Shared, r.Address = true, address
	return r
}

// session returns the same request with a client key.
func session(clientKey, address uint64) Request {
	r := page(clientKey)
	r.Address = address
	return r
}

// serve moves the clock by d, gives back every slot that has been held for as long as a page takes,
// and calls each at every step.
func (r *rig) serve(d, takes time.Duration, each func()) {
	r.Helper()
	const step = 10 * time.Millisecond
	for range d / step {
		for e := r.g.young.first(); e != nil && r.clock.now.Sub(r.g.epoch)-e.started >= takes; e = r.g.young.first() {
			Ticket{r.g, e, e.seq}.Done()
		}
		each()
		r.clock.pass(step)
		r.check()
	}
}

// flood is a sender that keeps many requests open at once, each for a page that takes so long,
// while two others ask now and then for a part of the workers.
type flood struct {
	workers int
	takes   time.Duration
	open    int
	next    func(i int) Request
	share   float64 // of each of two others, in workers
}

// mustRefuseItself plays the flood and expects that only its own requests are refused.
func (f flood) mustRefuseItself(t *testing.T) {
	t.Helper()
	r := newRig(t, f.workers)
	r.warmUp()
	r.teach(page(0), 40, f.takes)
	r.teach(other(0), 40, f.takes)
	var all, open, victims []*visit
	asked, n := r.clock.now, 0
	every := time.Duration(float64(f.takes) / f.share)
	r.serve(max(10*time.Second, 3*every), f.takes, func() {
		live := open[:0]
		for _, v := range open {
			if v.running() || v.settled == 0 {
				live = append(live, v)
			}
		}
		open = live
		for len(open) < f.open {
			v := r.come(f.next(n))
			n++
			if all = append(all, v); v.err != nil {
				break // it comes back at the next step
			}
			open = append(open, v)
		}
		if r.clock.now.Sub(asked) >= every {
			asked = r.clock.now
			victims = append(victims, r.enter(from(500)), r.enter(session(600, 601)))
		}
	})
	r.serve(4*time.Second, f.takes, func() {})
	longest := time.Duration(0)
	for i, v := range victims {
		if v.err != nil {
			t.Errorf("request %d of another is refused: %v", i, v.err)
		}
		longest = max(longest, v.waited)
	}
	if limit := r.g.cfg.Timeout; longest > limit {
		t.Errorf("one of another waited for %v, of %v", longest, limit)
	}
	t.Logf("%d of the flood, %d of others, which waited for %v at most", len(all), len(victims), longest)
	r.leaveAll(append(all, victims...))
}

// TestFloodOfOneAddress: one address keeps 280 requests for a known page open. Others, with a
// cookie and without, ask at a tenth of their share.
func TestFloodOfOneAddress(t *testing.T) {
	for name, next := range map[string]func(i int) Request{
		"no cookie":            func(int) Request { return from(1) },
		"another cookie each":  func(i int) Request { return session(uint64(1_000_000+i), 1) },
		"one cookie and none":  func(i int) Request { return map[bool]Request{true: session(77, 1), false: from(1)}[i%2 == 0] },
		"eight addresses":      func(i int) Request { return from(uint64(1 + i%8)) },
		"eight that make them": func(i int) Request { return session(uint64(1_000_000+i), uint64(1+i%8)) },
	} {
		for _, takes := range []time.Duration{100 * time.Millisecond, 500 * time.Millisecond} {
			t.Run(fmt.Sprint(name, " ", takes), func(t *testing.T) {
				flood{workers: 16, takes: takes, open: 280, next: next, share: 0.1}.mustRefuseItself(t)
			})
		}
	}
}

// TestFloodOfFewWorkers: an address sends another cookie with each request. With a queue for each,
// they would have turns for longer than others may wait, but they are too few to fill the room.
func TestFloodOfFewWorkers(t *testing.T) {
	for _, w := range []int{1, 2} {
		for _, takes := range []time.Duration{100 * time.Millisecond, 500 * time.Millisecond} {
			t.Run(fmt.Sprintf("%d workers, %v", w, takes), func(t *testing.T) {
				flood{
					workers: w, takes: takes, open: w + 70, share: 0.025 * float64(w),
					next: func(i int) Request { return session(uint64(1_000_000+i), 1) },
				}.mustRefuseItself(t)
			})
		}
	}
}

// TestQueueThatIsFull: the newest request of the address with the most makes room.
func TestQueueThatIsFull(t *testing.T) {
	r := known(t, 4, func(c *Config) { c.Size = 20 })
	var all []*visit
	for i := 0; r.g.inUse < 4; i++ {
		all = append(all, r.enter(page(uint64(100+i))).mustRun())
		if r.g.inUse < 4 {
			all = append(all, r.enter(other(uint64(200+i))).mustRun())
		}
	}
	var flood []*visit
	for range 20 {
		flood = append(flood, r.enter(from(1)).mustWait())
	}
	r.enter(from(1)).mustBeRefused(Full)
	victim := r.enter(from(2)).mustWait()
	last := flood[19].mustBeRefused(Full)
	if last.Lane != Short {
		t.Errorf("it was in the %v lane", last.Lane)
	}
	flood[18].mustWait()
	one := r.enter(session(30, 3)).mustWait()
	two := r.enter(session(31, 3)).mustWait() // another one's
	flood[17].mustBeRefused(Full)
	r.leaveAll(append(append(all, flood...), victim, one, two))
}

// TestPredictedIsOfOnesOwnTurn: so many requests wait that the last of them would wait for too
// long. A request of another client, whose turn is next, is not refused.
func TestPredictedIsOfOnesOwnTurn(t *testing.T) {
	r := newRig(t, 2)
	r.teach(page(0), 20, 900*time.Millisecond)
	all := []*visit{r.enter(page(1)).mustRun(), r.enter(page(2)).mustRun()}
	for i := range 100 {
		v := r.enter(from(1))
		if all = append(all, v); v.err != nil {
			if i < 4 {
				t.Errorf("number %d is refused", i)
			}
			v.mustBeRefused(Predicted)
			break
		}
	}
	victim := r.enter(from(2)).mustWait()
	all[0].done()
	all[1].done()
	victim.mustRun()
	r.leaveAll(append(all, victim))
}

// TestFloodOfUnknownRoutes: after a start, one address asks for ever new slow pages, with 2,000
// requests open, while others ask for pages that are not known yet either.
func TestFloodOfUnknownRoutes(t *testing.T) {
	for name, known := range map[string]bool{"cold": false, "known pages": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 16)
			if known {
				r.warmUp()
				r.teach(page(0), 40, 50*time.Millisecond)
			}
			type timed struct {
				*visit
				ends time.Time
			}
			var open, victims []*timed
			n := 0
			enter := func(q Request, takes time.Duration) *timed {
				v := &timed{visit: r.come(q)}
				v.ends = r.clock.now.Add(takes) // moved while it waits
				return v
			}
			const step = 20 * time.Millisecond
			for at := time.Duration(0); at < 30*time.Second; at += step {
				for len(open) < 2000 {
					q := Request{Route: fmt.Sprint("GET html /", n), Group: "GET html /", ClientKey: 1, Shared: true, Address: 1}
					n++
					v := enter(q, 0)
					if v.err != nil {
						break
					}
					open = append(open, v)
				}
				if at%(500*time.Millisecond) == 0 { // of a tenth of a share
					i := len(victims)
					q := Request{Route: fmt.Sprint("GET html /page", i%12), Group: "GET html /", ClientKey: uint64(10 + i%4), Address: uint64(10 + i%4)}
					victims = append(victims, enter(q, 0))
				}
				r.clock.pass(step)
				r.check()
				for _, c := range []struct {
					all   *[]*timed
					takes time.Duration
				}{{&open, 10 * time.Second}, {&victims, 50 * time.Millisecond}} {
					for _, v := range *c.all {
						if v.running() && r.clock.now.Sub(v.since.Add(v.waited)) >= c.takes {
							v.done()
						}
					}
				}
				live := open[:0]
				for _, v := range open {
					if v.running() || v.settled == 0 {
						live = append(live, v)
					}
				}
				open = live
			}
			refused, longest := 0, time.Duration(0)
			for _, v := range victims {
				if v.err != nil {
					refused++
				}
				longest = max(longest, v.waited)
			}
			t.Logf("%d of others, %d refused, the longest wait %v", len(victims), refused, longest)
			if refused > 0 {
				t.Errorf("%d of %d requests of others were refused", refused, len(victims))
			}
			for _, v := range append(open, victims...) {
				v.leave()
			}
			r.emptyNow()
		})
	}
}

// TestRouteQueueServesAddressesInTurn: one address has many requests for an unknown route, and
// another address has one.
func TestRouteQueueServesAddressesInTurn(t *testing.T) {
	r := newRig(t, 4)
	cold := func(client uint64) Request { return Request{Route: "cold", ClientKey: client, Address: client} }
	first := r.enter(cold(1)).mustRun()
	var count []*visit
	for range 10 {
		count = append(count, r.enter(cold(1)).mustWait())
	}
	victim := r.enter(cold(2)).mustWait()
	first.done() // two may start
	victim.mustRun()
	count[0].mustRun()
	count[1].mustWait()
	r.leaveAll(append(count, victim))
}

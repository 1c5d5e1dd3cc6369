package admission

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// TestRefusedForItsOwnClientIsNoLoad: one client asks 500 times a second.
func TestRefusedForItsOwnClientIsNoLoad(t *testing.T) {
	r := known(t, 16)
	var live []*visit
	refused := 0
	for range 500 {
		for range 5 {
			if v := r.enter(page(7)); v.err == nil {
				live = append(live, v)
			} else {
				refused++
			}
		}
		r.clock.pass(10 * time.Millisecond)
		rest := live[:0]
		for _, v := range live {
			if v.running() && r.clock.now.Sub(v.since.Add(v.waited)) >= 50*time.Millisecond {
				v.done()
			} else if v.err == nil {
				rest = append(rest, v)
			}
		}
		live = rest
	}
	if n := r.g.Snapshot().LongCap; n < 11 || refused < 1000 {
		t.Errorf("long requests may have %d slots, want 12 but one; %d were refused", n, refused)
	}
	r.leaveAll(live)
}

// TestRefusedForWantOfSlotsIsLoad: many clients ask for more than there is.
func TestRefusedForWantOfSlotsIsLoad(t *testing.T) {
	r := known(t, 16, func(c *Config) { c.Size = 1 })
	all := []*visit{}
	for i := range 16 {
		p := page(uint64(i + 1))
		if i%2 == 0 {
			p = other(uint64(i + 1))
		}
		all = append(all, r.enter(p).mustRun())
	}
	for i := range 400 {
		all = append(all, r.enter(other(uint64(100+i))))
	}
	r.clock.pass(tick)
	if n := r.g.load.arrivals; n < 400 {
		t.Errorf("%d arrivals counted, want 400 and more", n)
	}
	r.leaveAll(all)
}

// TestThrottledRequestsLeaveTheQueueToOthers: four throttled clients have as many waiting requests
// as may wait at all.
func TestThrottledRequestsLeaveTheQueueToOthers(t *testing.T) {
	r := known(t, 16, func(c *Config) { c.Size = 40 })
	var all []*visit
	for f := range 4 {
		for range 4 {
			all = append(all, r.enter(page(uint64(10+f))))
		}
	}
	for f := range 4 {
		for range 9 {
			all = append(all, r.enter(page(uint64(10+f))))
		}
	}
	for i := 0; r.g.inUse < 16; i++ {
		all = append(all, r.enter(other(uint64(1000+i))).mustRun())
	}
	if n := r.g.waitingIn[roomReady] + r.g.waitingIn[roomParked]; n < 36 {
		t.Fatalf("%d wait", n)
	}
	for i := range 10 {
		all = append(all, r.enter(other(uint64(5000+i))).mustWait())
	}
	r.leaveAll(all)
}

// TestThrottledRequestsAreBounded: throttled clients have as many waiting requests as may wait at
// all. These count with the long ones, because they wait for as long.
func TestThrottledRequestsAreBounded(t *testing.T) {
	r := known(t, 16, func(c *Config) { c.Size, c.LongSize = 1000, 9 })
	var all []*visit
	for f := range 3 {
		for range 4 {
			all = append(all, r.enter(page(uint64(10+f))).mustRun())
		}
	}
	for f := range 2 {
		for range 4 {
			all = append(all, r.enter(page(uint64(10+f))).mustWait())
		}
	}
	all = append(all, r.enter(page(12)).mustWait())
	r.enter(page(10)).mustBeRefused(Full)
	all = append(all, r.enter(page(12)).mustWait())
	if all[15].err == nil && all[19].err == nil { // the newest of those who have more
		t.Error("nobody gave way")
	}
	all = append(all, r.enter(other(13)).mustRun())
	r.leaveAll(all)
}

func TestUnknownThrottledRequestsDoNotOpenTheQueue(t *testing.T) {
	r := known(t, 16, func(c *Config) { c.Size, c.LongSize = 20, 400 })
	var all []*visit
	for range 4 {
		all = append(all, r.enter(page(7)).mustRun())
	}
	all = append(all, r.fillUnreserved()...)
	for i := range 100 { // of a client at its limit
		all = append(all, r.enter(Request{Route: fmt.Sprint("GET html /", i), ClientKey: 7}).mustWait())
	}
	for i := range 4 {
		all = append(all, r.enter(other(uint64(100+i))).mustRun())
	}
	for i := range 20 {
		all = append(all, r.enter(other(uint64(1000+i))).mustWait())
	}
	r.enter(other(2000)).mustBeRefused(Full)
	r.leaveAll(all)
}

func TestParkedRequestsDoNotCountAgainstPages(t *testing.T) {
	r := known(t, 2, func(c *Config) { c.Size = 16 })
	var all []*visit
	for range 6 {
		all = append(all, r.enter(slowPoll(1)))
	}
	for r.g.inUse < 2 {
		all = append(all, r.enter(page(uint64(20+r.g.inUse))).mustRun())
	}
	all = append(all, r.enter(page(1)).mustWait())
	r.leaveAll(all)
}

// TestOneClientDoesNotParkForAll: one client wants all places of long and of unknown requests.
func TestOneClientDoesNotParkForAll(t *testing.T) {
	for name, kind := range map[string]struct {
		request Request
		may     int
	}{
		"long":             {Request{Route: "poll", Long: true}, 25},
		"long, an address": {Request{Route: "poll", Long: true, Shared: true}, 50},
		"unknown":          {Request{Route: "new"}, 25},
	} {
		t.Run(name, func(t *testing.T) {
			r := known(t, 16, func(c *Config) { c.LongSize = 100 })
			for r.g.inUse < 16 {
				r.enter(page(uint64(100 + r.g.inUse)))
				r.enter(other(uint64(200 + r.g.inUse)))
			}
			q := kind.request
			q.ClientKey = 7
			var all []*visit
			for range 300 {
				all = append(all, r.enter(q))
			}
			if n := r.g.clients.table[7].waiting.n; n != kind.may {
				t.Errorf("%d of 100 wait for one client, want %d", n, kind.may)
			}
			q.ClientKey = 8
			all = append(all, r.enter(q).mustWait())
			r.leaveAll(all)
			r.emptyNow()
		})
	}
}

// TestUnspentClientGoesOn: a client whose budget is spent waits until it has saved again.
func TestUnspentClientGoesOn(t *testing.T) {
	r := known(t, 12, func(c *Config) { c.Timeout = 20 * time.Second }) // a budget of 6, and 1.5 per second; 3 in flight, or 1
	busy := func(d time.Duration) {
		for range d / tick {
			r.clock.pass(tick)
			r.enter(page(9)).mustRun().done() // nothing is stalled
		}
	}
	all := []*visit{r.enter(page(1)).mustRun(), r.enter(page(1)).mustRun(), r.enter(page(1)).mustRun()}
	busy(5 * time.Second)
	all[1].done()
	all[2].done()
	others := r.fillUnreserved()
	a, b := r.enter(page(1)).mustWait(), r.enter(page(1)).mustWait()
	r.leaveAll(others)
	busy(7 * time.Second) // it saves up half a worker-second per second
	a.mustRun()
	b.mustRun()
	r.leaveAll(append(all, a, b))
}

func TestClientLimitShrinksWithTheCapacity(t *testing.T) {
	capacity := 16
	r := known(t, 16, func(c *Config) { c.Capacity = func() int { return capacity } })
	r.enter(page(1)).mustRun().done()
	capacity = 3
	r.clock.pass(tick)
	all := []*visit{r.enter(page(1)).mustRun(), r.enter(page(1)).mustRun(), r.enter(page(1)).mustWait(), r.enter(page(2)).mustRun()}
	r.leaveAll(all)
}

// TestLongRequestsShrinkWithTheCapacity: one worker is left, and short requests need it.
func TestLongRequestsShrinkWithTheCapacity(t *testing.T) {
	capacity := 16
	r := known(t, 16, func(c *Config) { c.Capacity = func() int { return capacity } })
	capacity = 1
	r.enter(page(1)).mustRun().done()
	r.clock.pass(tick)
	r.busyOne(15 * time.Second)
	r.enter(slowPoll(0)).mustWait().leave()
}

// busyOne keeps one worker busy for 90 % of the time.
func (r *rig) busyOne(d time.Duration) {
	r.Helper()
	for range d / tick {
		v := r.enter(page(0)).mustRun()
		r.clock.pass(45 * time.Millisecond)
		v.done()
		r.clock.pass(5 * time.Millisecond)
	}
}

// TestLongRequestsOfAClient: one client holds as many slots for long as it may.
func TestLongRequestsOfAClient(t *testing.T) {
	r := newRig(t, 16)
	r.warmUp()
	var all []*visit
	for range r.g.longCap - r.g.cfg.ClientLimit { // as many are left as another client's limit
		all = append(all, r.enter(slowPoll(1)).mustRun())
	}
	waits := r.enter(slowPoll(1)).mustWait()
	all = append(all, r.enter(slowPoll(2)).mustRun())
	r.clock.pass(tick)
	waits.mustWait()
	all[0].done()
	waits.mustWait()
	all[1].done()
	waits.mustRun()
	r.leaveAll(append(all[2:], waits))
}

// TestMixedRequestsOfAClient is the same for mixed requests.
func TestMixedRequestsOfAClient(t *testing.T) {
	r := newRig(t, 16)
	r.warmUp()
	r.teach(page(0), 40, 20*time.Millisecond)
	var all []*visit
	for _, v := range r.fill(2) {
		v.ticket.Streaming()
		all = append(all, v)
	}
	for r.g.longInUse < r.g.longCap-r.g.cfg.ClientLimit {
		all = append(all, r.enter(page(7)).mustRun())
	}
	waits := r.enter(page(7)).mustWait()
	all = append(all, r.enter(page(8)).mustRun())
	all[2].done()
	waits.mustWait()
	all[3].done()
	waits.mustRun()
	r.leaveAll(append(all, waits))
}

// TestEndlessTimeout: who may wait for ever is not refused at once.
func TestEndlessTimeout(t *testing.T) {
	r := known(t, 1, func(c *Config) { c.Timeout = math.MaxInt64 })
	busy := r.enter(other(1)).mustRun()
	waits := r.enter(page(2)).mustWait()
	r.clock.pass(500 * time.Millisecond)
	waits.mustWait().leave()
	busy.done()
}

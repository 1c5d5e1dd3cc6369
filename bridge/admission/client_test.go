package admission

import (
	"testing"
	"time"
)

func TestClientLimit(t *testing.T) {
	r := newRig(t, 8)
	r.teach(page(0), 20, 10*time.Millisecond)
	a, b := r.enter(page(1)).mustRun(), r.enter(page(1)).mustRun()
	waits := r.enter(page(1)).mustWait()
	other := r.enter(page(2)).mustRun()
	address := page(3)
	address.Shared = true
	var many []*visit
	for range 3 {
		many = append(many, r.enter(address).mustRun())
	}
	other.done()
	waits.mustWait()
	a.done()
	waits.mustRun().done()
	b.done()
	for _, v := range many {
		v.done()
	}
}

func TestClientsTakeTurns(t *testing.T) {
	r := newRig(t, 1)
	v := r.enter(page(9)).mustRun()
	a1, a2 := r.enter(page(1)).mustWait(), r.enter(page(1)).mustWait()
	b1, b2 := r.enter(page(2)).mustWait(), r.enter(page(2)).mustWait()
	for i, next := range []*visit{a1, b1, a2, b2} {
		v.done()
		if !next.running() {
			t.Fatalf("number %d was passed over", i)
		}
		v = next
	}
	v.done()
}

// TestLockBoundSession: one session holds its lock for two seconds at a time, on a route that
// everybody uses. It must neither take more than its share nor make the route slow for the gate.
func TestLockBoundSession(t *testing.T) {
	r := newRig(t, 8)
	r.teach(page(0), 40, 50*time.Millisecond)
	var session []*visit
	for range 12 {
		session = append(session, r.enter(page(7)))
	}
	others, limit := 0, 0
	next := r.clock.now.Add(2 * time.Second)
	for range 60 * 20 {
		v := r.enter(page(uint64(100 + others%50)))
		if !v.running() {
			t.Fatalf("another's page waits after %d", others)
		}
		others++
		r.clock.pass(50 * time.Millisecond)
		v.done()
		if r.clock.now.Before(next) {
			continue
		}
		next = r.clock.now.Add(2 * time.Second)
		for i, s := range session {
			if s.running() { // the one that has the lock
				s.done()
				session[i] = r.enter(page(7))
				break
			}
		}
		running := 0
		for i, s := range session {
			if s.running() {
				running++
			} else if s.settled > 0 {
				session[i] = r.enter(page(7))
			}
		}
		limit = running
	}
	// Nobody else asks for long, so the session has four: the slots that long requests may have,
	// less two that another session might want.
	if limit > 4 {
		t.Errorf("the session has %d in flight after a minute, want 4 at most", limit)
	}
	if lane := r.g.Snapshot().Routes[0].Lane; lane != Short {
		t.Errorf("the page's lane is %v", lane)
	}
	for _, s := range session {
		s.leave()
	}
}

func TestQueueIsNotOneClients(t *testing.T) {
	r := newRig(t, 8, func(c *Config) { c.Size = 40 })
	r.teach(page(0), 20, 10*time.Millisecond)
	var all []*visit
	for range 2 + 10 {
		all = append(all, r.enter(page(1)))
	}
	all[11].mustWait()
	r.enter(page(1)).mustBeRefused(Full)
	r.enter(page(2)).mustRun().done()
	for _, v := range all {
		v.leave()
	}
}

func TestRetryAfterDoubles(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Size, c.LongSize = 0, 0 })
	v := r.enter(page(9)).mustRun()
	v.ticket.Release()
	v = r.enter(Request{Route: "other", Long: true}).mustRun()
	least := time.Second
	for range 5 {
		after := r.enter(page(1)).mustBeRefused(Full).RetryAfter
		if low := min(least, maxRetry/2); after < low || after > low+max(low, retrySpread) {
			t.Errorf("to come again after %v, want %v to %v", after, low, low+max(low, retrySpread))
		}
		r.enter(page(1)).mustBeRefused(Full) // of the same page
		least *= 2
		r.clock.pass(600 * time.Millisecond)
	}
	if after := r.enter(page(2)).mustBeRefused(Full).RetryAfter; after > time.Second+retrySpread {
		t.Errorf("another client was told %v", after)
	}
	r.clock.pass(3 * time.Minute)
	if after := r.enter(page(1)).mustBeRefused(Full).RetryAfter; after > time.Second+retrySpread {
		t.Errorf("%v after it had waited", after)
	}
	v.done()
}

func TestPredictedWait(t *testing.T) {
	r := newRig(t, 2)
	r.teach(page(0), 20, 900*time.Millisecond)
	all := []*visit{r.enter(page(0)).mustRun(), r.enter(page(0)).mustRun()}
	for range 7 {
		all = append(all, r.enter(page(0)).mustWait()) // 6 of 0.9 s on two workers: 2.7 s
	}
	if after := r.enter(page(0)).mustBeRefused(Predicted).RetryAfter; after < 3*time.Second {
		t.Errorf("to come again after %v, with 3 s of work waiting", after)
	}
	for _, v := range all {
		v.leave()
	}
}

// TestWaitForOnesOwnClientMayBeLonger: one session waits for itself while slots are free.
func TestWaitForOnesOwnClientMayBeLonger(t *testing.T) {
	r := newRig(t, 8)
	r.teach(page(0), 20, 500*time.Millisecond)
	var tabs []*visit
	for range 10 {
		tabs = append(tabs, r.enter(page(1)))
	}
	for range 9 { // two at a time, one of them waiting for the lock of the other
		r.clock.pass(600 * time.Millisecond)
		for _, v := range tabs {
			if v.running() {
				v.done()
				break
			}
		}
	}
	for i, v := range tabs {
		if v.err != nil {
			t.Errorf("tab %d: %v", i, v.err)
		}
		v.leave()
	}
}

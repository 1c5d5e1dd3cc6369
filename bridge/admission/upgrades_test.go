package admission

import (
	"testing"
	"time"
)

func socket(clientKey uint64) Request {
	return Request{Route: "GET html /ws", ClientKey: clientKey, Upgrade: true}
}

// TestUpgradesHaveALimit: 4 of 16 slots, whether they are in flight or wait. Long-polls have the
// other 8 of the 12 that long requests may have, and short requests the reserve.
func TestUpgradesHaveALimit(t *testing.T) {
	r := newRig(t, 16)
	r.warmUp()
	var all []*visit
	for i := range 4 {
		all = append(all, r.enter(socket(uint64(i+1))).mustRun())
	}
	for i := range 3 {
		refusal := r.enter(socket(uint64(10 + i))).mustBeRefused(Upgrades)
		if refusal.Lane != Long {
			t.Errorf("refused in the lane %v", refusal.Lane)
		}
	}
	for i := range 8 {
		all = append(all, r.enter(slowPoll(uint64(20+i))).mustRun())
	}
	parked := r.enter(slowPoll(99)).mustWait()
	all = append(all, r.enter(page(0)).mustRun())
	if s := r.g.Snapshot(); s.Upgraded != 4 || s.MaxUpgraded != 4 || s.Long != 12 || s.Lanes["long"].Refused["upgrades"] != 3 {
		t.Errorf("%+v", s)
	}
	all[0].done() // an upgrade: its place is free, and its slot is the parked poll's
	parked.mustRun()
	waits := r.enter(socket(50)).mustWait()
	r.enter(socket(51)).mustBeRefused(Upgrades)
	waits.leave()
	waits = r.enter(socket(52)).mustWait()
	r.g.RefuseWaiting(Down)
	waits.mustBeRefused(Down)
	all[1].leave()
	all = append(all, r.enter(socket(53)).mustRun(), parked)
	r.leaveAll(all)
	if s := r.g.Snapshot(); s.Upgraded != 0 {
		t.Errorf("%d upgrades at the end", s.Upgraded)
	}
}

// TestUpgradesOfAPlainQueue: without lanes nothing is known of requests.
func TestUpgradesOfAPlainQueue(t *testing.T) {
	r := newRig(t, 4, func(c *Config) { c.Lanes = false })
	var all []*visit
	for range 4 {
		all = append(all, r.enter(socket(1)).mustRun())
	}
	r.leaveAll(all)
}

// TestPollsGoOnBesideUpgrades: upgrades that came in quiet times hold all slots that long requests
// may have under load. One long-poll at a time goes on, and is not held up by an upgrade that waits.
func TestPollsGoOnBesideUpgrades(t *testing.T) {
	r := known(t, 16, func(c *Config) { c.MaxUpgraded = 7 })
	var sockets []*visit
	for i := range 6 {
		sockets = append(sockets, r.enter(socket(uint64(i+1))).mustRun())
	}
	busy := keepBusy(r, 10)
	if s := r.g.Snapshot(); s.LongCap > 6 {
		t.Fatalf("long requests may have %d slots, want as many as upgrades hold, at most", s.LongCap)
	}
	seventh := r.enter(socket(7)).mustWait() // of the same lane, and came first
	for i := range 5 {
		busy[i].done()
		first := r.enter(slowPoll(30)).mustRun()
		second := r.enter(slowPoll(31)).mustWait()
		r.clock.pass(tick)
		second.mustWait()
		first.done()
		second.mustRun().done()
	}
	seventh.mustWait()
	r.leaveAll(busy[5:])
	sockets[0].done()
	sockets[1].done()
	r.clock.pass(tick)
	seventh.mustRun()
	r.leaveAll(append(sockets[2:], seventh))
}

// keepBusy has n short requests in flight for some time, and returns the last of them.
func keepBusy(r *rig, n int) (flight []*visit) {
	r.Helper()
	for range 3000 {
		if len(flight) == n {
			flight[0].done()
			flight = flight[1:]
		}
		flight = append(flight, r.enter(page(0)).mustRun())
		r.clock.pass(2 * time.Millisecond)
	}
	return flight
}

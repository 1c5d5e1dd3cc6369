package admission

import (
	"math"
	"testing"
	"time"
)

// named is a page for a client that has a name.
func named(client uint64) Request {
	p := page(client)
	p.ClientName = 1000 + client
	return p
}

// Of what a client may have at all gates, each gives what the others leave, or an equal part: together
// never more than the limit, or one at each.
func TestLimitOf(t *testing.T) {
	r := newRig(t, 16, func(c *Config) { c.Capacity = func() int { return 8 } })
	r.g.remeasure()
	c := newClient(1, 8, 0)
	for _, a := range []struct {
		there Elsewhere
		want  int
	}{
		{Elsewhere{}, 4},
		{Elsewhere{Fast: 1, Gates: 1}, 3},
		{Elsewhere{Fast: 1, Gates: 1, Waits: true}, 2},
		{Elsewhere{Fast: 4, Gates: 1, Waits: true}, 1},
		{Elsewhere{Fast: 100, Gates: 1}, 1},
		{Elsewhere{Fast: 2, Gates: 2, Rank: 0, Waits: true}, 2}, // 4 of 3 gates: 2, 1 and 1
		{Elsewhere{Fast: 2, Gates: 2, Rank: 1, Waits: true}, 1},
		{Elsewhere{Fast: 3, Gates: 9, Rank: 9, Waits: true}, 1},
		{Elsewhere{Waits: true, Gates: 1}, 2},
	} {
		c.elsewhere = elsewhere{time.Second, int32(a.there.Fast), 0, int32(a.there.Gates), int32(a.there.Rank), a.there.Waits}
		if got := r.g.limitOf(c, fast, 4, 2, 0); got != a.want {
			t.Errorf("%+v: %d, want %d", a.there, got, a.want)
		}
	}
	c.elsewhere = elsewhere{until: time.Second}
	if got := r.g.limitOf(c, fast, 16, 2, 0); got != 4 {
		t.Errorf("of 8 slots a client may have %d, want half", got)
	}
	if got := r.g.limitOf(c, fast, 4, 2, time.Second); got != 2 {
		t.Errorf("what is too old counts: %d", got)
	}
}

// Until a gate knows what a client has elsewhere, and when it does not know any more, the client may have
// the gate's part of its limit.
func TestLimitOverGates(t *testing.T) {
	r := newRig(t, 16, func(c *Config) { c.Capacity = func() int { return 8 } })
	r.teach(page(0), 20, 10*time.Millisecond)
	var all []*visit
	for range 10 {
		all = append(all, r.enter(named(1)))
	}
	want := func(what string, n int) {
		t.Helper()
		running := 0
		for _, v := range all {
			if v.running() {
				running++
			}
		}
		if running != n {
			t.Errorf("%s: %d run, want %d", what, running, n)
		}
	}
	learn := func(there Elsewhere) {
		t.Helper()
		uses := r.g.Uses(8)
		if len(uses) != 1 || uses[0].Name != 1001 || !uses[0].Waits {
			t.Fatalf("%+v", uses)
		}
		there.Known = true
		r.g.Learn(uses, []Elsewhere{there}, 50*time.Millisecond)
	}
	end := func(n int) {
		for i := 0; n > 0; i++ {
			if all[i].running() {
				all[i].done()
				n--
			}
		}
	}
	want("at first", 2)
	learn(Elsewhere{})
	want("none elsewhere", 4)
	learn(Elsewhere{Fast: 3, Gates: 1, Rank: 1})
	end(3)
	want("three elsewhere", 1)
	learn(Elsewhere{Fast: 1, Gates: 1, Rank: 1, Waits: true})
	want("one elsewhere, and others wait", 2)
	learn(Elsewhere{Fast: 1, Gates: 1, Rank: 1})
	want("one elsewhere", 3)
	r.clock.pass(100 * time.Millisecond)
	end(2)
	want("nobody says anything any more", 2)
	if s := r.g.Snapshot().ClientKeys; len(s) == 0 || s[0].ClientKey != ClientKeyName(1001) {
		t.Errorf("%+v", s)
	}
	for _, v := range all {
		v.leave()
	}
}

// What a client uses is told once, and that it uses nothing any more as well; clients without a limit and
// without a name are not told of, and of the others those that use most.
func TestUses(t *testing.T) {
	r := newRig(t, 16)
	r.teach(page(0), 20, 10*time.Millisecond)
	address := named(2)
	address.Shared = true
	a, b, c := r.enter(named(1)).mustRun(), r.enter(address).mustRun(), r.enter(page(3)).mustRun()
	r.clock.pass(100 * time.Millisecond)
	if u := r.g.Uses(8); len(u) != 1 || u[0].Name != 1001 || u[0].Spent != 100*time.Millisecond || u[0].Fast != 1 || u[0].Waits {
		t.Errorf("%+v", u)
	}
	r.clock.pass(50 * time.Millisecond)
	a.done()
	b.done()
	c.done()
	if u := r.g.Uses(8); len(u) != 1 || u[0].Spent != 50*time.Millisecond || u[0].Fast != 0 {
		t.Errorf("%+v", u)
	}
	if u := r.g.Uses(8); len(u) != 0 {
		t.Errorf("%+v", u)
	}
	d, e, f := r.enter(named(4)).mustRun(), r.enter(named(5)).mustRun(), r.enter(named(5)).mustRun()
	if u := r.g.Uses(1); len(u) != 1 || u[0].Fast != 2 {
		t.Errorf("%+v", u)
	}
	d.done()
	e.done()
	f.done()
}

// What a client would have used while the process was suspended is not told.
func TestUsesAfterSleep(t *testing.T) {
	r := newRig(t, 16)
	r.teach(page(0), 20, 10*time.Millisecond)
	a := r.enter(named(1)).mustRun()
	r.clock.pass(100 * time.Millisecond)
	r.clock.now = r.clock.now.Add(time.Hour)
	u := r.g.Uses(8)
	if len(u) != 1 || u[0].Spent > time.Second || u[0].client.spent {
		t.Errorf("%+v, spent %v", u, u[0].client.spent)
	}
	a.done()
}

// A budget is that of all gates. What was used since it was told is not forgotten.
func TestBudgetOverGates(t *testing.T) {
	r := newRig(t, 16)
	r.teach(page(0), 20, 10*time.Millisecond)
	a := r.enter(named(1)).mustRun()
	u := r.g.Uses(8)
	r.clock.pass(500 * time.Millisecond)
	r.g.Learn(u, []Elsewhere{{Known: true, Spent: 3 * time.Second}}, time.Second)
	if c := u[0].client; math.Abs(c.budget-(8-3-0.5)) > 1e-6 || c.spent {
		t.Errorf("%g is left, spent %v", c.budget, c.spent)
	}
	b := r.enter(named(1)).mustRun()
	r.g.Learn(r.g.Uses(8), []Elsewhere{{Known: true, Spent: 9 * time.Second}}, time.Second)
	if c := u[0].client; c.budget != 0 || !c.spent {
		t.Errorf("%g is left, spent %v", c.budget, c.spent)
	}
	waits := r.enter(named(1)).mustWait() // of one whose budget is spent, two may run
	a.done()
	b.done()
	waits.mustRun().done()
}

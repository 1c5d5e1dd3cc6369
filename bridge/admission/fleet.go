package admission

import "time"

// A client of a fleet has requests at several gates. Each gate tells the others what its heaviest clients
// use (Uses), and is told what these use elsewhere (Learn). Until a gate knows that of a client, and when it
// has not been told for long, the client may have the part of its limits that the gate has of the workers.

// Use is what a client uses at this gate.
type Use struct {
	Name       uint64        // Request.ClientName
	Spent      time.Duration // worker time of its short requests since the last Uses
	Fast, Slow int           // its requests in flight: started as short or unknown, as mixed or long
	Waits      bool          // others of it wait

	client *client
}

// Elsewhere is what the same client uses at the other gates.
type Elsewhere struct {
	Known      bool          // false: it is not known
	Spent      time.Duration // what is gone of ClientBurst, by the requests of all gates
	Fast, Slow int
	Gates      int // other gates where it has requests
	Rank       int // how many of these come before this gate
	Waits      bool
}

// elsewhere is an Elsewhere of which the budget has been taken over already.
type elsewhere struct {
	until       time.Duration // when it is too old; 0: it was never known
	fast, slow  int32
	gates, rank int32
	waits       bool
}

// Uses returns what the clients use that use most, n of them at most. Clients without a name and clients
// without a limit are left out.
func (g *Gate) Uses(n int) []Use {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, visited := g.now(), 0
	g.detectPause(now)
	heaviest := most[client]{n: n}
	for _, c := range g.clients.table {
		if w := g.weight(c, now); w > 0 {
			heaviest.add(c, w)
		}
		visited++
		g.yield(visited)
	}
	uses := make([]Use, 0, len(heaviest.list))
	for _, h := range heaviest.list {
		c := h.of
		g.updateBudget(c, now)
		spent := time.Duration((c.used - c.usedTold) * float64(time.Second)).Truncate(time.Millisecond)
		c.usedTold += spent.Seconds()
		u := Use{c.name, spent, int(c.fast), int(c.slow), c.waiting.n > 0, c}
		c.told = u.Fast+u.Slow > 0 || u.Waits
		uses = append(uses, u)
	}
	return uses
}

// weight is how much c uses: what is to be told first.
func (g *Gate) weight(c *client, now time.Duration) float64 {
	if c.shared || c.name == 0 {
		return 0
	}
	w := float64(int(c.fast+c.slow)+c.waiting.n) + c.used - c.usedTold
	if w < 1e-3 && !c.told { // a millisecond
		return 0
	}
	return max(w, 1e-3) + c.workerSeconds.value(now)/timeConstant.Seconds()
}

// Learn notes what the clients of the last Uses use elsewhere. That counts for as long as valid.
func (g *Gate) Learn(uses []Use, all []Elsewhere, valid time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	g.detectPause(now)
	for i, there := range all[:min(len(all), len(uses))] {
		c := uses[i].client
		if !there.Known {
			c.elsewhere = elsewhere{}
			continue
		}
		c.elsewhere = elsewhere{now + valid, int32(there.Fast), int32(there.Slow), int32(there.Gates), int32(there.Rank), there.Waits}
		g.updateBudget(c, now)
		c.budget = g.cfg.ClientBurst - there.Spent.Seconds() - (c.used - c.usedTold)
		g.boundBudget(c, now)
		for _, q := range c.queues {
			if q != nil && g.belowClientLimit(c, q.class, now) {
				g.unthrottle(q)
			}
		}
	}
	g.dispatch(now)
}

// limitOf returns how many requests of a class c may have in flight, of a limit of that it has whole and of
// which this gate's part is part. It is what the other gates leave, and no more than an equal part while c
// waits at one of them; but at least one, so that a client never waits for what another gate does. At no
// gate it has more than half of the slots, which are for others, too.
func (g *Gate) limitOf(c *client, of class, whole, part int, now time.Duration) int {
	there := &c.elsewhere
	if now >= there.until {
		return part
	}
	used := int(there.fast)
	if of != fast {
		used = int(there.slow)
	}
	most := max(part, g.slots/2)
	if there.waits {
		gates := int(there.gates) + 1
		equal := whole / gates
		if int(there.rank) < whole%gates {
			equal++
		}
		most = min(most, equal)
	}
	return max(1, min(whole-used, most))
}

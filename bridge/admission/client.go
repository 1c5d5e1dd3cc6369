package admission

import (
	"cmp"
	"time"
)

// client is everybody with one client key.
type client struct {
	key    uint64
	name   uint64 // Request.ClientName, as it was last; 0: there are no other gates
	shared bool

	queues     [classes]*clientQueue // nil: no request has waited there
	fast, slow int32                 // in flight: started as short or unknown; started as mixed or long

	waiting      chain[entry] // its waiting requests, in the order of arrival
	waitingShort int32        // how many of these are in the lane Short
	waitingIn    [rooms]int32
	address      *address // the address that its waiting requests count for; nil if none waits
	ofAddress    link[client]

	// The budget, in worker-seconds, grows by Config.ClientRate per second and shrinks by one per
	// second and request of fast.
	budget   float64
	budgetAt time.Duration // when budget was updated last, by the ageing clock
	spent    bool

	used, usedTold float64 // worker-seconds of fast, until budgetAt; what Uses has told of them
	told           bool    // the last Uses told of requests
	elsewhere      elsewhere

	agedEntry *entry // the only request of the client that may count among the aged ones of its route

	retries       *[classes]retry // nil: no request was refused
	workerSeconds decayingSum

	link link[client] // in clientTable.idle
}

// clientQueue is the queue of a client for a class. Its requests are served in order of arrival,
// the clients of a class in turn.
type clientQueue struct {
	client    *client
	class     class
	throttled bool // the client is at its limit
	waiting   chain[entry]
	link      link[clientQueue] // in Gate.rings or, if throttled, in Gate.throttled; in neither if empty
}

type clientTable struct {
	table map[uint64]*client
	idle  chain[client] // clients without a request in the gate, the least recently used first
	max   int
}

func newClient(key uint64, burst float64, clock time.Duration) *client {
	c := &client{key: key, budget: burst, budgetAt: clock}
	c.link.of, c.ofAddress.of = c, c
	return c
}

// queue returns the queue of c for a class.
func (c *client) queue(of class) *clientQueue {
	q := c.queues[of]
	if q == nil {
		q = &clientQueue{client: c, class: of}
		q.link.of = q
		c.queues[of] = q
	}
	return q
}

// isThrottled reports whether requests of c of a class wait because c is at its limit.
func (c *client) isThrottled(of class) bool { return c.queues[of] != nil && c.queues[of].throttled }

// clientOf returns the client with that key, which has a name, and takes it out of the idle ones.
func (g *Gate) clientOf(key, name uint64, shared bool, now time.Duration) *client {
	if key == 0 || !g.cfg.Lanes {
		return g.anonymous
	}
	c := g.clients.table[key]
	if c == nil {
		c = newClient(key, g.cfg.ClientBurst, g.ageing(now))
		c.shared = shared
		g.clients.table[key] = c
	}
	c.link.leave()
	if name != 0 {
		c.name = name
	}
	return c
}

// shownKey is the client key in reports: what all gates call it, if there are others.
func (c *client) shownKey() uint64 { return cmp.Or(c.name, c.key) }

// markIdle adds c to the idle clients if it has no request in the gate.
func (g *Gate) markIdle(c *client) {
	if c == g.anonymous || c.fast+c.slow > 0 || c.waiting.n > 0 || c.link.in != nil {
		return
	}
	g.clients.idle.pushBack(&c.link)
	g.clients.trim()
}

// trim forgets the idle clients beyond max.
func (fs *clientTable) trim() {
	for fs.idle.n > fs.max {
		old := fs.idle.first()
		old.link.leave()
		delete(fs.table, old.key)
	}
}

// updateBudget brings the budget of c up to date. Time in a stall does not count. Once the budget
// is spent, a long request of c says nothing about its route: the client is what is slow.
func (g *Gate) updateBudget(c *client, now time.Duration) {
	clock := g.ageing(now)
	if clock <= c.budgetAt {
		return
	}
	passed := (clock - c.budgetAt).Seconds()
	c.used += float64(c.fast) * passed
	c.budget += (g.cfg.ClientRate - float64(c.fast)) * passed
	c.budgetAt = clock
	g.boundBudget(c, now)
}

// boundBudget does what follows from a new budget of c.
func (g *Gate) boundBudget(c *client, now time.Duration) {
	c.budget = max(0, min(c.budget, g.cfg.ClientBurst))
	switch {
	case c.budget <= 0:
		c.spent = true
		if e := c.agedEntry; e != nil && e.route.mostlyShort() {
			g.uncountAged(e, now)
		}
	case c.budget >= g.cfg.ClientBurst/2:
		c.spent = false
	}
}

// belowClientLimit reports whether the limit of c permits another request of a class.
func (g *Gate) belowClientLimit(c *client, of class, now time.Duration) bool {
	switch {
	case c.shared:
		return true
	case of != fast:
		return int(c.slow) < g.limitOf(c, of, g.cfg.ClientLimit, g.clientLimit, now)
	}
	g.updateBudget(c, now)
	if c.spent {
		return int(c.fast) < g.limitOf(c, of, g.cfg.SpentLimit, g.spentLimit, now)
	}
	return int(c.fast) < g.limitOf(c, of, g.cfg.ClientLimit, g.clientLimit, now)
}

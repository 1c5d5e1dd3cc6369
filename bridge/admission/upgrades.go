package admission

import "time"

// An upgraded connection, such as a WebSocket, holds a slot for as long as its client likes. So
// upgrades have a limit below that of long requests, and what they hold is not held against other
// long requests while the load of short ones leaves these no room: of a long-poll it is known that
// it ends.

// countUpgrade makes e an upgrade, and reports false if there are as many as may be.
func (g *Gate) countUpgrade(e *entry) bool {
	if g.upgrades >= g.maxUpgraded {
		return false
	}
	e.upgrade = true
	g.upgrades++
	return true
}

// freeBesideUpgrades reports whether a request that is no upgrade may start although long requests
// hold as many slots as they may: upgrades hold some, and without them it would be one of LongMin.
func (g *Gate) freeBesideUpgrades(now time.Duration) bool {
	others := g.longInUse - g.upgradesInUse
	return g.upgradesInUse > 0 && others < g.longMin && g.longInUse+g.borrowed < g.longSlots(g.slots-g.reserve, now)
}

// parkUpgrade moves e, an upgrade, out of its client's queue, so that others do not wait for it.
func (g *Gate) parkUpgrade(e *entry) {
	g.unlink(e)
	g.parkedUpgrades.pushBack(&e.link)
}

// requeueUpgrades moves the parked upgrades back to their clients' queues if one may start.
func (g *Gate) requeueUpgrades(now time.Duration) {
	for e := g.parkedUpgrades.first(); e != nil && g.freeForLong(e, now); e = g.parkedUpgrades.first() {
		g.unlink(e)
		g.requeue(e)
	}
}

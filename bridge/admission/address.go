package admission

// address is where requests come from, as far as it has any that wait, or any in flight
// that find out about their routes. Flows may be made up, one with each request; clients
// cannot, so what everybody shares is shared out between them.
type address struct {
	key             uint64
	clients         chain[client] // those of which some wait
	waitCounts      [rooms]waitCount
	blocked         int           // its requests in lines of routes
	unknownInFlight int           // in flight, of routes that were unknown when they were started
	unknownWaiting  chain[entry]  // those that wait to find out
	link            link[address] // in Gate.unknown.ring or held while there are some
}

// addressKey is what r's client is known by.
func (r *Request) addressKey() uint64 {
	if r.Address != 0 {
		return r.Address
	}
	return r.ClientKey
}

// addressOf returns the client with a key, which must be used at once.
func (g *Gate) addressOf(key uint64) *address {
	a := g.addresses[key]
	if a == nil {
		a = &address{key: key}
		a.link.of = a
		for i := range a.waitCounts {
			a.waitCounts[i] = waitCount{a, 0, -1}
		}
		g.addresses[key] = a
	}
	return a
}

// forget forgets a client that has nothing in the gate.
func (g *Gate) forgetIfIdle(a *address) {
	if a.clients.n == 0 && a.unknownInFlight == 0 {
		delete(g.addresses, a.key)
	}
}

// countUnknown notes that e, of a route that nobody knew, holds a slot, or no longer.
func (g *Gate) countUnknown(e *entry, by int) {
	a := g.addressOf(e.addressKey)
	if a.unknownInFlight += by; by > 0 {
		return
	}
	if a.link.in == &g.unknown.throttled {
		a.link.leave()
		g.unknown.active.pushBack(&a.link)
	}
	g.forgetIfIdle(a)
}

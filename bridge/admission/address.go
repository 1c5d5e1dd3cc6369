package admission

// address is an address that has waiting requests, or unknown ones in flight. A client key can be
// made up, even one for each request, but an address cannot, so what all clients share is divided
// between addresses.
type address struct {
	key             uint64
	clients         chain[client] // clients with waiting requests that count for the address
	waitCounts      [rooms]waitCount
	blocked         int           // its requests in queues of routes
	unknownInFlight int           // requests in flight that started in the lane Unknown
	unknownWaiting  chain[entry]  // requests that wait for a place among the unknown ones in flight
	link            link[address] // in Gate.unknown.active or throttled while unknownWaiting is not empty
}

// addressKey returns the key of the address that r counts for.
func (r *Request) addressKey() uint64 {
	if r.Address != 0 {
		return r.Address
	}
	return r.ClientKey
}

// addressOf returns the address with that key. The caller must use it before it unlocks the gate:
// an unused one is never removed.
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

// forgetIfIdle removes an address that has nothing in the gate.
func (g *Gate) forgetIfIdle(a *address) {
	if a.clients.n == 0 && a.unknownInFlight == 0 {
		delete(g.addresses, a.key)
	}
}

// countUnknown adds by to the unknown requests in flight of e's address.
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

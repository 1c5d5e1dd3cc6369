package admission

// client is where requests come from, as far as it has any that wait, or any in flight
// that find out about their routes. Flows may be made up, one with each request; clients
// cannot, so what everybody shares is shared out between them.
type client struct {
	key     uint64
	flows   chain[flow] // those of which some wait
	crowds  [rooms]crowd
	lined   int          // its requests in lines of routes
	finding int          // in flight, of routes that were unknown when they were started
	unknown chain[entry] // those that wait to find out
	link    link[client] // in Gate.unknown.ring or held while there are some
}

// clientKey is what r's client is known by.
func (r *Request) clientKey() uint64 {
	if r.Client != 0 {
		return r.Client
	}
	return r.Flow
}

// clientOf returns the client with a key, which must be used at once.
func (g *Gate) clientOf(key uint64) *client {
	c := g.clients[key]
	if c == nil {
		c = &client{key: key}
		c.link.of = c
		for i := range c.crowds {
			c.crowds[i] = crowd{c, 0, -1}
		}
		g.clients[key] = c
	}
	return c
}

// forget forgets a client that has nothing in the gate.
func (g *Gate) forget(c *client) {
	if c.flows.n == 0 && c.finding == 0 {
		delete(g.clients, c.key)
	}
}

// finds notes that e, of a route that nobody knew, holds a slot, or no longer.
func (g *Gate) finds(e *entry, by int) {
	c := g.clientOf(e.client)
	if c.finding += by; by > 0 {
		return
	}
	if c.link.in == &g.unknown.held {
		c.link.leave()
		g.unknown.ring.pushBack(&c.link)
	}
	g.forget(c)
}

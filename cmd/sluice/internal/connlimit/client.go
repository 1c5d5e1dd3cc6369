package connlimit

import (
	"container/heap"
	"net"
	"net/netip"
)

// addrOf is where a connection comes from. Of a unix socket's nothing is known.
func addrOf(c net.Conn) netip.Addr {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// network is the /64 network of an IPv6 address, which is what one customer of a
// provider has at least, and any other address as it is.
func network(addr netip.Addr) netip.Addr {
	if addr.Is6() {
		prefix, _ := addr.Prefix(64) // 64 bits are there
		return prefix.Addr()
	}
	return addr
}

// client is what one has, in all states.
type client struct {
	addr    netip.Addr
	exempt  bool
	conns   int  // in the server
	halves  int  // of these, half closed
	waiting list // for room there
	waits   int  // how many those are
	idle    list // without a request
	active  list // with one
	at      int  // in the heap; -1: not
}

// name is for the log.
func (c *client) name() string {
	switch {
	case !c.addr.IsValid():
		return "unix"
	case c.addr.Is6() && !c.exempt:
		return c.addr.String() + "/64"
	}
	return c.addr.String()
}

// ranking has the client with most connections first.
type ranking []*client

func (r ranking) Len() int           { return len(r) }
func (r ranking) Less(i, j int) bool { return r[i].conns > r[j].conns }
func (r ranking) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].at, r[j].at = i, j
}

func (r *ranking) Push(x any) {
	c := x.(*client)
	c.at = len(*r)
	*r = append(*r, c)
}

func (r *ranking) Pop() any {
	last := len(*r) - 1
	c := (*r)[last]
	c.at = -1
	(*r)[last] = nil
	*r = (*r)[:last]
	return c
}

// first returns nil if there is none.
func (r ranking) first() *client {
	if len(r) == 0 {
		return nil
	}
	return r[0]
}

// clients are those that have any connection.
type clients struct {
	byAddr map[netip.Addr]*client
	most   ranking // those that are not exempt
}

// of returns the client at an address, which exists from now on.
func (cs *clients) of(addr netip.Addr, exempt bool) *client {
	if !exempt {
		addr = network(addr)
	}
	c := cs.byAddr[addr]
	if c != nil {
		return c
	}
	c = &client{addr: addr, exempt: exempt, at: -1}
	c.waiting.init()
	c.idle.init()
	c.active.init()
	cs.byAddr[addr] = c
	if !c.exempt {
		heap.Push(&cs.most, c)
	}
	return c
}

// add changes how many connections a client has in the server, and forgets it if it
// has none at all.
func (cs *clients) add(c *client, n int) {
	c.conns += n
	if c.conns+c.waits == 0 {
		delete(cs.byAddr, c.addr)
		if c.at >= 0 {
			heap.Remove(&cs.most, c.at)
		}
		return
	}
	if c.at >= 0 {
		heap.Fix(&cs.most, c.at)
	}
}

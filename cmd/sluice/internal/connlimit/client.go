package connlimit

import (
	"container/heap"
	"net"
	"net/netip"
)

// addrOf returns the address of the peer, the zero Addr for a unix socket.
func addrOf(c net.Conn) netip.Addr { return addrIn(c.RemoteAddr()) }

func addrIn(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// network returns the /64 network of an IPv6 address, the least that a provider assigns to one
// customer, and any other address unchanged.
func network(addr netip.Addr) netip.Addr {
	if addr.Is6() {
		prefix, _ := addr.Prefix(64) // 64 bits are there
		return prefix.Addr()
	}
	return addr
}

// client holds the connections of one client, in all states.
type client struct {
	addr          netip.Addr
	exempt        bool
	conns         int  // connections in the server
	numHalfClosed int  // of these, how many are half closed
	waiting       list // connections that wait for room in the server
	numWaiting    int  // how many these are
	idle          list // connections without a request
	active        list // connections with a request
	heapIndex     int  // in clients.most; -1 if it is not there
}

// name returns the client's name for the log.
func (c *client) name() string {
	switch {
	case !c.addr.IsValid():
		return "unix"
	case c.addr.Is6() && !c.exempt:
		return c.addr.String() + "/64"
	}
	return c.addr.String()
}

// ranking is a heap with the client that has most connections first.
type ranking []*client

func (r ranking) Len() int           { return len(r) }
func (r ranking) Less(i, j int) bool { return r[i].conns > r[j].conns }
func (r ranking) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].heapIndex, r[j].heapIndex = i, j
}

func (r *ranking) Push(x any) {
	c := x.(*client)
	c.heapIndex = len(*r)
	*r = append(*r, c)
}

func (r *ranking) Pop() any {
	last := len(*r) - 1
	c := (*r)[last]
	c.heapIndex = -1
	(*r)[last] = nil
	*r = (*r)[:last]
	return c
}

// first returns the first client, nil if there is none.
func (r ranking) first() *client {
	if len(r) == 0 {
		return nil
	}
	return r[0]
}

// clients holds the clients that have a connection.
type clients struct {
	byAddr map[netip.Addr]*client
	most   ranking // clients that are not exempt
}

// of returns the client at an address, a new one if necessary.
func (cs *clients) of(addr netip.Addr, exempt bool) *client {
	if !exempt {
		addr = network(addr)
	}
	c := cs.byAddr[addr]
	if c != nil {
		return c
	}
	c = &client{addr: addr, exempt: exempt, heapIndex: -1}
	c.waiting.init()
	c.idle.init()
	c.active.init()
	cs.byAddr[addr] = c
	if !c.exempt {
		heap.Push(&cs.most, c)
	}
	return c
}

// add adds n to the client's connections in the server, and removes the client if it has none
// and none waits.
func (cs *clients) add(c *client, n int) {
	c.conns += n
	if c.conns+c.numWaiting == 0 {
		delete(cs.byAddr, c.addr)
		if c.heapIndex >= 0 {
			heap.Remove(&cs.most, c.heapIndex)
		}
		return
	}
	if c.heapIndex >= 0 {
		heap.Fix(&cs.most, c.heapIndex)
	}
}

package spool

import "net/netip"

// Client is the client of a body: an IPv4 address, or the /64 network of an IPv6 address, the least that a
// provider assigns to one customer. The zero Client stands for all unknown clients.
type Client struct{ addr netip.Addr }

// ClientOf returns the client with an address in text form, the zero Client if it is invalid.
func ClientOf(text string) Client {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return Client{}
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		network, _ := addr.Prefix(64) // 64 bits are there
		addr = network.Addr()
	}
	return Client{addr}
}

// String returns the address or network, "unknown" for the zero Client.
func (c Client) String() string {
	switch {
	case !c.addr.IsValid():
		return "unknown"
	case c.addr.Is6():
		return c.addr.String() + "/64"
	}
	return c.addr.String()
}

// Owner is the client of a body, with the means to cut it.
type Owner struct {
	Client Client
	// Cutter, if it is not nil, permits cutting the body when other clients need its room.
	Cutter Cutter
}

// Cutter is the slow side of a body.
type Cutter interface {
	// Pressing reports whether requests wait for the worker that writes the body. It is called for
	// answers without room.
	Pressing() bool
	// Cut makes a Read from the client, or a Write to it, return. It is called at most once, not
	// after Close, in the goroutine of another body, and must not block.
	Cut()
}

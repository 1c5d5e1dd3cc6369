package spool

import "net/netip"

// Client is who a body comes from or goes to, as far as sharing the room is
// concerned: an IPv4 address, or the /64 network of an IPv6 address, which is
// what one customer of a provider has at least. The zero Client is everybody of
// whom nothing is known.
type Client struct{ addr netip.Addr }

// ClientOf returns the client with an address in text form; the zero Client if
// it is none.
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

// Owner says whose a body is.
type Owner struct {
	Client Client
	// Cutter, if there is one, allows the body to be given up when others need its
	// room.
	Cutter Cutter
}

// Cutter is the slow side of a body.
type Cutter interface {
	// Pressing reports whether others wait for what the fast side holds, a worker,
	// while it finds no room. It is asked now and then, of answers.
	Pressing() bool
	// Cut makes a Read from the client, or a Write to it, that is under way return.
	// It is called in somebody else's goroutine, at most once and not after Close,
	// and must not block.
	Cut()
}

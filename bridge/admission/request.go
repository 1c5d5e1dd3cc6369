package admission

import "cmp"

// Request describes a request to the gate.
type Request struct {
	// Route is what is asked for, without everything that differs between requests of the same
	// kind. The gate learns by route.
	Route string
	// Group is a prefix of Route that related routes have in common, such as the first segment of
	// the path. A request of a new route is taken for what the first requests of other new routes
	// in the group turned out to be. If Group is empty, all routes without a group are related.
	Group string
	// ClientKey is a hash that says who asks. 0: not known.
	ClientKey uint64
	// Shared says that ClientKey may stand for many people, as an address may. Such a client has
	// its turn in the queues, but neither a limit nor a budget.
	Shared bool
	// Address is a hash of the address that the request comes from. 0: ClientKey stands for it.
	// Clients can make up client keys but not addresses, so places that all clients share are
	// divided between addresses.
	Address uint64
	// ClientName and AddressName are what all gates of a fleet call ClientKey and Address, in reports and
	// among each other. They may change; the gate counts by ClientKey. 0: there are no other gates.
	ClientName, AddressName uint64
	// Long says that the request is known to be long. The gate learns nothing from it.
	Long bool
	// Upgrade says that the request asks for a connection that may stay open for hours, such as a
	// WebSocket. It counts as Long, and no more than Config.MaxUpgraded of them are in the gate.
	Upgrade bool
	// Method and Path are for reports only.
	Method, Path string
	// Peer is told by Acquire when the request must wait. It may be nil.
	Peer Peer
}

// Peer is the sender of a request.
type Peer interface {
	// Waits is called when the request must wait, without the gate's mutex. If one of the
	// application's workers has sent the request, the callee or a goroutine that it starts reports
	// that with Ticket.Nested. Acquire waits until Waits returns, so it should not take long.
	Waits(t Ticket)
}

// Waiter is told once what became of a waiting request; nil means that its ticket was granted.
// Settle is called with the gate's mutex held, perhaps before Enter has returned, and must not call
// the gate.
type Waiter interface{ Settle(err error) }

// ShownKey is the client key in reports: what all gates of a fleet call it, if there are others.
func (r *Request) ShownKey() uint64 { return cmp.Or(r.ClientName, r.ClientKey) }

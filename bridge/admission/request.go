package admission

// Request is what the gate is told of a request.
type Request struct {
	// Route is what is asked for, with everything that differs from one request to the
	// next of the same kind left out. It is the unit of learning.
	Route string
	// Group is the beginning of Route that it shares with its relatives, such as the
	// first segment of a path. What newcomers there turned out to be is what the next
	// one is taken for. Empty: no relatives but all others.
	Group string
	// Flow is who asks, as a hash. 0: not known.
	ClientKey uint64
	// Shared says that Flow may stand for many people, as an address does. It has its
	// turn in the queues, but no limit and no budget.
	Shared bool
	// Client is the address that it comes from, as a hash; 0: Flow's is as good. Flows
	// may be made up, and what everybody shares is shared out between clients.
	Address uint64
	// Long is declared, not learned.
	Long bool
	// Method and Path are for reports only.
	Method, Path string
	// Peer is told by Acquire if the request must wait. Nil: nobody is.
	Peer Peer
}

// Peer is who sends a request.
type Peer interface {
	// Waits is told that the request waits. Whoever finds out that one of the application's
	// workers has sent it says so to the ticket (Ticket.Nested). It is called without the
	// gate's mutex, and the request waits for it, too: it should not take long.
	Waits(t Ticket)
}

// Waiter is told once what became of a request that waited: nil means that its
// ticket was granted. It is called with the gate's mutex held and must not call the
// gate. That may be before Enter has returned.
type Waiter interface{ Settle(err error) }

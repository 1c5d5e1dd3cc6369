package sim

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// class is what a request truly is, which a policy may have been told or not.
type class uint8

const (
	short class = iota
	poll
	lockBound
	slow
	nested // sent by the application itself, which waits for the answer
	classes
)

// state is how far a request has come.
type state uint8

const (
	made    state = iota
	waiting       // the policy has it in a queue
	running       // the policy has started it: the application has it, or its backlog
	refused
	left // the client left before it was started
	ended
)

// request is one attempt of a client.
type request struct {
	admission.Request
	class class
	state state
	gone  bool // the client left after the start; the application goes on
	own   bool // it leaves on its own, whatever the policy does

	first time.Duration // when its first attempt arrived
	at    time.Duration // when this one did
	begun time.Duration // when a worker took it up
	work  time.Duration // what a worker has to do
	leave time.Duration // its client leaves so long after its first arrival
	kept  bool          // its connection can be used again
	heeds bool          // comes back after Retry-After, not at once

	tab *tab // that waits for it; nil: nobody comes back

	nests  int      // so many deep it sends requests to its own site in the middle of its work
	parent *request // that sent it, and waits

	policy gateRequest
}

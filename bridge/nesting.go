package bridge

import (
	"net"
	"net/http"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/acceptqueue"
)

// listeners are the inodes of the sockets on this machine that the application listens on.
func (b *backend) listeners() (inodes []uint64) {
	for _, name := range b.pool.Addrs() {
		network, addr, err := config.ParseAddress(name)
		if err != nil {
			continue
		}
		if q, err := acceptqueue.Of(network, addr); err == nil {
			inodes = append(inodes, q.Inodes...)
		}
	}
	return inodes
}

// track has it be found out whether the application itself has sent the request, if it
// must wait. Only what comes from this machine can be.
func (x *exchange) track() {
	if x.b.plain || x.nest != nil {
		return
	}
	local, ok := x.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return // a front that does not say
	}
	if x.nest = x.b.nested.Track(x.r.RemoteAddr, local); x.nest != nil {
		x.ask.Peer = x
	}
}

// Waits implements admission.Peer.
func (x *exchange) Waits(t admission.Ticket) { x.nest.Waits(t) }

// served notes which connection the application has the request on: what it sends from
// there is nested in this one.
func (x *exchange) served() {
	if x.nest == nil {
		return
	}
	raw, local, remote := x.held.lease.Socket()
	x.nest.Served(x.held.ticket, raw, local, remote)
}

// untrack ends it.
func (x *exchange) untrack() {
	if x.nest != nil {
		x.nest.End()
	}
}

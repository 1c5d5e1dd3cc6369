package bridge

import (
	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// Snapshot is the state of a Bridge, or of a Backend, at one instant.
type Snapshot struct {
	InFlight     int64                `json:"in_flight"` // requests inside ServeHTTP; all others are of the whole backend
	Abandoned    int64                `json:"abandoned"` // answers awaited for nobody, until their workers are free
	Gate         admission.Snapshot   `json:"gate"`
	AddressLimit AddressLimitSnapshot `json:"address_limit"`
	Pool         pool.Snapshot        `json:"pool"`
	Spool        spool.Stats          `json:"spool"`

	Processes *supervise.Snapshot `json:"processes,omitempty"` // nil: the application was not started by Sluice
}

// Snapshot returns the backend's state: of its sites together.
func (b *Backend) Snapshot() Snapshot { return b.snapshot() }

// Snapshot returns the state of the bridge's backend, and how many requests are in b.
func (b *Bridge) Snapshot() Snapshot {
	s := b.snapshot()
	s.InFlight = b.InFlight()
	return s
}

func (b *backend) snapshot() Snapshot {
	s := Snapshot{
		Abandoned: b.abandoned.Load(),
		Gate:      b.gate.Snapshot(),
		Pool:      b.pool.Snapshot(),
		Spool:     b.spool.Load().Stats(),
	}
	s.InFlight, s.AddressLimit = b.sites.snapshot()
	if b.processes != nil {
		s.Processes = new(b.processes.Snapshot())
	}
	return s
}

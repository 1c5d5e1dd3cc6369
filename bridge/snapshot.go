package bridge

import (
	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// Snapshot is the state of a Bridge at one instant.
type Snapshot struct {
	InFlight  int64              `json:"in_flight"` // requests inside ServeHTTP
	Abandoned int64              `json:"abandoned"` // answers awaited for nobody, until their workers are free
	Gate      admission.Snapshot `json:"gate"`
	Sharing   SharingSnapshot    `json:"sharing"`
	Pool      pool.Snapshot      `json:"pool"`
	Spool     spool.Stats        `json:"spool"`

	Processes *supervise.Snapshot `json:"processes,omitempty"` // nil: the application was not started by Sluice
}

// Snapshot returns the bridge's state.
func (b *Bridge) Snapshot() Snapshot {
	s := Snapshot{
		InFlight:  b.inFlight.Load(),
		Abandoned: b.abandoned.Load(),
		Gate:      b.gate.Snapshot(),
		Pool:      b.pool.Snapshot(),
		Spool:     b.spool.Stats(),
	}
	if b.sharing != nil {
		s.Sharing = b.sharing.snapshot()
	}
	if b.processes != nil {
		s.Processes = new(b.processes.Snapshot())
	}
	return s
}

package caddyplugin

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// Events that a configuration may subscribe to.
const (
	eventStallBegin = "sluice_stall_begin"
	eventStallEnd   = "sluice_stall_end"
)

// noteStall emits an event for the begin and the end of a stall.
func (a *application) noteStall(s admission.Stall) {
	if s.Ended.IsZero() {
		a.emit(eventStallBegin, map[string]any{"since": s.Began.Format(time.RFC3339), "in_flight": len(s.Held)})
		return
	}
	a.emit(eventStallEnd, map[string]any{"since": s.Began.Format(time.RFC3339), "stalled_for": s.Ended.Sub(s.Began).Round(time.Millisecond).String()})
}

// emit gives an event to the latest configuration, without waiting for what that does
// with it.
func (a *application) emit(name string, data map[string]any) {
	out := a.outlets.latest.Load()
	if out == nil {
		return
	}
	data["application"] = a.name()
	a.events.Go(func() { out.events.Emit(out.ctx, name, data) })
}

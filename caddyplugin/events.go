package caddyplugin

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/registry"
)

// The events of this module.
const (
	eventStallBegin   = "sluice_stall_begin"
	eventStallEnd     = "sluice_stall_end"
	eventInstanceDown = "sluice_instance_down"
	eventInstanceUp   = "sluice_instance_up"
	eventGivenUp      = "sluice_spawn_budget_exhausted"
)

// emitter emits Caddy events for a module.
type emitter struct {
	ctx caddy.Context
	app *caddyevents.App
}

func newEmitter(ctx caddy.Context) (*emitter, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	return &emitter{ctx, app.(*caddyevents.App)}, nil
}

// Stall implements registry.Events.
func (e *emitter) Stall(application string, s admission.Stall) {
	if s.Ended.IsZero() {
		e.emit(eventStallBegin, application, map[string]any{"since": s.Began.Format(time.RFC3339), "in_flight": len(s.Held)})
		return
	}
	e.emit(eventStallEnd, application, map[string]any{"since": s.Began.Format(time.RFC3339), "stalled_for": s.Ended.Sub(s.Began).Round(time.Millisecond).String()})
}

// Outage implements registry.Events.
func (e *emitter) Outage(application, instance string, err error) {
	if err == nil {
		e.emit(eventInstanceUp, application, map[string]any{"instance": instance})
		return
	}
	e.emit(eventInstanceDown, application, map[string]any{"instance": instance, "error": err.Error()})
}

// GivenUp implements registry.Events.
func (e *emitter) GivenUp(application string) { e.emit(eventGivenUp, application, map[string]any{}) }

func (e *emitter) emit(name, application string, data map[string]any) {
	data["application"] = application
	e.app.Emit(e.ctx, name, data)
}

// Interface guard
var _ registry.Events = (*emitter)(nil)

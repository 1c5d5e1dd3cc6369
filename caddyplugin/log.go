package caddyplugin

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// outlet is where a module's words go: the log, the events and the metrics of its
// configuration.
type outlet struct {
	log      slog.Handler
	ctx      caddy.Context
	module   string // what it belongs to
	events   *caddyevents.App
	registry *prometheus.Registry

	generation *App // of the configuration
}

func newOutlet(ctx caddy.Context) (*outlet, error) {
	events, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	generation, err := ctx.App("sluice")
	if err != nil {
		return nil, err
	}
	return &outlet{
		log: ctx.Slogger().Handler(), ctx: ctx, events: events.(*caddyevents.App), registry: ctx.GetMetricsRegistry(),
		generation: generation.(*App), module: string(ctx.Module().CaddyModule().ID),
	}, nil
}

// who is the module as an error names it.
func (o *outlet) who(cfg *config.Site) string {
	who := o.module
	if cfg.Mount != "" {
		who += " at " + cfg.Mount
	}
	if cfg.Root != "" {
		who += " of " + cfg.Root
	}
	return who
}

// conflict is the error of two modules that want an application to be different things.
// one and two say who they are.
func conflict(err error, one, two, application string) error {
	both := one + " and " + two
	if one == two {
		both = "two handlers of the configuration (" + one + ")"
	}
	return fmt.Errorf("%w: %s share the application %s, which has one gate for both: give both the same value", err, both, application)
}

// outlets are those of the modules that use an application. A configuration's log is
// closed with it, so what an application says goes to the latest that is still there.
type outlets struct {
	latest atomic.Pointer[outlet] // nil: there is none

	mu   sync.Mutex
	list []*outlet // the latest is last
}

func (o *outlets) add(out *outlet) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, out)
	o.latest.Store(out)
}

func (o *outlets) remove(out *outlet) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.Index(o.list, out); i >= 0 {
		o.list = slices.Delete(o.list, i, i+1)
	}
	var latest *outlet
	if n := len(o.list); n > 0 {
		latest = o.list[n-1]
	}
	o.latest.Store(latest)
}

// log is where records go now: to Caddy's own log if no module is left.
func (o *outlets) log() slog.Handler {
	if out := o.latest.Load(); out != nil {
		return out.log
	}
	return processLog()
}

// logHandler is a slog.Handler for a logger that outlives configurations.
type logHandler struct {
	to     *outlets
	derive []func(slog.Handler) slog.Handler // what WithAttrs and WithGroup have added, in order
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.to.log().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	to := h.to.log()
	for _, with := range h.derive {
		to = with(to)
	}
	return to.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(to slog.Handler) slog.Handler { return to.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return h.with(func(to slog.Handler) slog.Handler { return to.WithGroup(name) })
}

func (h *logHandler) with(f func(slog.Handler) slog.Handler) slog.Handler {
	return &logHandler{to: h.to, derive: append(slices.Clip(h.derive), f)}
}

// processLog is the log of the process, which goes on between configurations.
func processLog() slog.Handler {
	return slogOf(caddy.Log().Named("http.handlers.sluice"))
}

package caddyplugin

import (
	"context"
	"log/slog"

	"github.com/caddyserver/caddy/v2"

	"github.com/sluice-proxy/sluice/bridge/registry"
)

// applications are those of all configurations.
var applications = registry.New(registry.Options{Log: processLog, Exiting: caddy.Exiting, Reexec: true}) // Reexec: see child.go

func init() {
	caddy.RegisterModule(new(App))
	caddy.OnExit(func(context.Context) { applications.Close() }) // processes would be left
}

// processLog is the log of the process, which goes on between configurations.
func processLog() slog.Handler { return slogOf(caddy.Log().Named("http.handlers.sluice")) }

// App is Caddy's configuration as the registry of applications sees it. It is there whenever a
// handler or a transport is, and has no settings.
type App struct {
	configuration *registry.Configuration
	ctx           caddy.Context
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sluice", New: func() caddy.Module { return new(App) }}
}

// Provision makes the configuration known.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.configuration = ctx, applications.NewConfiguration(metricsIn(ctx.GetMetricsRegistry()))
	return nil
}

// Start has the applications get ready for what the configuration wants. All that is in it
// was provisioned without an error.
func (a *App) Start() error { return a.configuration.Start(a.ctx) }

// Stop has the applications become what the configuration wants that has started meanwhile.
// What a configuration wants ends with the modules that want it, which are cleaned up
// whether it was stopped, did not start, or failed after that.
func (a *App) Stop() error {
	a.configuration.Stop()
	return nil
}

// Interface guards
var (
	_ caddy.App         = (*App)(nil)
	_ caddy.Provisioner = (*App)(nil)
)

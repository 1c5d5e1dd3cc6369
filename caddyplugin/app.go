package caddyplugin

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/sluice-proxy/sluice/bridge/registry"
)

// applications holds the applications of all configurations.
var applications = registry.New(registry.Options{Log: processLog, Exiting: caddy.Exiting, Reexec: true}) // Reexec: see child.go

func init() {
	caddy.RegisterModule(new(App))
	caddy.OnExit(func(context.Context) { applications.Close() }) // ends their processes
}

// processLog returns the log of the process, which exists between configurations, too.
func processLog() slog.Handler { return slogOf(caddy.Log().Named("http.handlers.sluice")) }

// App has the settings for web servers that speak FastCGI or SCGI to Caddy. It needs none: each
// configuration with a handler or a transport has an App, also if nothing is set.
type App struct {
	// The settings for web servers that speak FastCGI or SCGI to servers of the http app.
	WebServers *WebServers `json:"web_servers,omitempty"`

	configuration *registry.Configuration
	ctx           caddy.Context
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sluice", New: func() caddy.Module { return new(App) }}
}

// Provision adds the configuration to the registry.
func (a *App) Provision(ctx caddy.Context) error {
	live()
	a.ctx, a.configuration = ctx, applications.NewConfiguration(metricsIn(ctx.GetMetricsRegistry()))
	return nil
}

// Validate checks the settings.
func (a *App) Validate() error {
	if a.WebServers == nil {
		return nil
	}
	if err := a.WebServers.validate(); err != nil {
		return fmt.Errorf("web_servers: %w", err)
	}
	return nil
}

// Start prepares the applications for the configuration. All modules have been provisioned without an
// error.
func (a *App) Start() error { return a.configuration.Start(a.ctx) }

// Stop commits the configuration that has started meanwhile. The claims of a configuration end when its
// modules are cleaned up, whether it was stopped, did not start, or failed later.
func (a *App) Stop() error {
	a.configuration.Stop()
	return nil
}

// Interface guards
var (
	_ caddy.App             = (*App)(nil)
	_ caddy.Provisioner     = (*App)(nil)
	_ caddy.Validator       = (*App)(nil)
	_ caddyfile.Unmarshaler = (*App)(nil)
)

package caddyplugin

import "github.com/caddyserver/caddy/v2"

func init() { caddy.RegisterModule(new(App)) }

// App has the applications change to what a new configuration says when all of that has
// started. It is there whenever a handler or a transport is, and has no settings.
type App struct {
	number uint64 // later configurations have larger ones
	runs   bool   // or did; applications.mu
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sluice", New: func() caddy.Module { return new(App) }}
}

// Provision gives the configuration its number.
func (a *App) Provision(caddy.Context) error {
	applications.mu.Lock()
	defer applications.mu.Unlock()
	applications.latest++
	a.number = applications.latest
	return nil
}

// Start has the applications get ready for what the configuration wants. All that is in it
// was provisioned without an error.
func (a *App) Start() error { return applications.start(a) }

// Stop has the applications become what the configuration wants that has started meanwhile.
// What a configuration wants ends with the modules that want it, which are cleaned up
// whether it was stopped, did not start, or failed after that.
func (a *App) Stop() error {
	applications.stop(a)
	return nil
}

// Interface guards
var (
	_ caddy.App         = (*App)(nil)
	_ caddy.Provisioner = (*App)(nil)
)

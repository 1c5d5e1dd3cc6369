package caddyplugin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/sluice-proxy/sluice/bridge"
)

func init() { caddy.RegisterModule(new(Admin)) }

// Admin adds to Caddy's admin API:
//
//   - `GET /sluice/status`: the state of every application.
type Admin struct{}

// CaddyModule returns the Caddy module information.
func (*Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.sluice", New: func() caddy.Module { return new(Admin) }}
}

// Routes returns the routes of the admin API.
func (a *Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/sluice/status", Handler: caddy.AdminHandlerFunc(a.status)},
	}
}

// applicationStatus is an application as GET /sluice/status has it.
type applicationStatus struct {
	Backends []string        `json:"backends"`
	Preset   string          `json:"preset,omitempty"`
	Mount    string          `json:"mount,omitempty"`
	Root     string          `json:"root,omitempty"`
	Snapshot bridge.Snapshot `json:"snapshot"`
}

func (*Admin) status(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return methodNotAllowed(w, http.MethodGet)
	}
	list := []applicationStatus{}
	for _, a := range live() {
		list = append(list, applicationStatus{
			Backends: a.cfg.Backends, Preset: a.cfg.Preset, Mount: a.cfg.Mount, Root: a.cfg.Root, Snapshot: a.bridge.Snapshot(),
		})
	}
	slices.SortFunc(list, func(a, b applicationStatus) int {
		return cmp.Or(slices.Compare(a.Backends, b.Backends), cmp.Compare(a.Mount, b.Mount), cmp.Compare(a.Root, b.Root))
	})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(map[string]any{"applications": list})
}

func methodNotAllowed(w http.ResponseWriter, allowed string) error {
	w.Header().Set("Allow", allowed)
	return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("method not allowed, want %s", allowed)}
}

// Interface guard
var _ caddy.AdminRouter = (*Admin)(nil)

package caddyplugin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/page"
	"github.com/sluice-proxy/sluice/bridge/registry"
)

func init() { caddy.RegisterModule(new(Admin)) }

// Admin adds to Caddy's admin API:
//
//   - `GET /sluice/`: a page of the state. Caddy refuses browsers here that are led to it by its address alone,
//     for they send no `Origin`: for people, there is the directive `sluice_status`.
//   - `GET /sluice/status`: the state of every application.
//   - `POST /sluice/drain?backend=unix//run/app.sock`: sends no more requests to that backend;
//     those in progress may finish. This lasts until the backend is resumed, or removed from the
//     configuration. With `wait=30s` it answers when no request is left, or after that time.
//   - `POST /sluice/resume?backend=unix//run/app.sock`: ends the drain.
//   - `POST /sluice/restart?command=/srv/app/app.fcgi`: replaces the processes of a spawned
//     application one after the other, without losing a request, and answers when that is
//     done. Without `command`, it restarts all spawned applications.
//   - `POST /sluice/publish/`: publishes messages for held clients, for publishers that know the key
//     of `hold`. Libraries for GRIP are told `http://localhost:2019/sluice/`.
type Admin struct{}

// CaddyModule returns the Caddy module information.
func (*Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.sluice", New: func() caddy.Module { return new(Admin) }}
}

// Routes returns the routes of the admin API.
func (a *Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/sluice/", Handler: caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			live().ServeHTTP(w, r)
			return nil
		})},
		{Pattern: "/sluice/status", Handler: allow(http.MethodGet, a.status)},
		{Pattern: "/sluice/drain", Handler: allow(http.MethodPost, a.drain)},
		{Pattern: "/sluice/resume", Handler: allow(http.MethodPost, a.resume)},
		{Pattern: "/sluice/restart", Handler: allow(http.MethodPost, a.restart)},
		{Pattern: "/sluice/publish", Handler: caddy.AdminHandlerFunc(publish)},
		{Pattern: "/sluice/publish/{$}", Handler: caddy.AdminHandlerFunc(publish)},
	}
}

func publish(w http.ResponseWriter, r *http.Request) error {
	bridge.PublishHandler(func() (list []*bridge.Application) {
		for _, a := range applications.Applications() {
			list = append(list, a.Application())
		}
		return list
	}).ServeHTTP(w, r)
	return nil
}

// applicationStatus is an application in the answer to GET /sluice/status.
type applicationStatus struct {
	Backends []string        `json:"backends,omitempty"`
	Command  string          `json:"command,omitempty"` // of a spawned application, without its arguments
	Sites    []siteLocation  `json:"sites"`
	Findings []page.Finding  `json:"findings"` // what is the matter, as the page says it
	Snapshot bridge.Snapshot `json:"snapshot"`
}

// siteLocation describes a site.
type siteLocation struct {
	Preset string `json:"preset,omitempty"`
	Mount  string `json:"mount,omitempty"`
	Root   string `json:"root,omitempty"`
}

// siteLocations returns the sites in front of a.
func siteLocations(a *registry.Application) (list []siteLocation) {
	for _, cfg := range a.Sites() {
		if at := (siteLocation{string(cfg.Preset), cfg.Mount, cfg.Root}); !slices.Contains(list, at) {
			list = append(list, at)
		}
	}
	return list
}

func (*Admin) status(w http.ResponseWriter, _ *http.Request) error {
	list := []applicationStatus{}
	for _, a := range applications.Applications() {
		cfg := a.Settings()
		s := applicationStatus{Backends: cfg.Backends, Sites: siteLocations(a), Findings: live().Findings(onPage(a)), Snapshot: a.Application().Snapshot()}
		if cfg.Spawn != nil {
			s.Command = cfg.Spawn.Command[0]
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b applicationStatus) int {
		return cmp.Or(slices.Compare(a.Backends, b.Backends), cmp.Compare(a.Command, b.Command))
	})
	return reply(w, map[string]any{"applications": list})
}

func (*Admin) drain(w http.ResponseWriter, r *http.Request) error {
	wait := time.Duration(0)
	if text := r.URL.Query().Get("wait"); text != "" {
		var err error
		if wait, err = caddy.ParseDuration(text); err != nil {
			return apiError(http.StatusBadRequest, fmt.Errorf("wait: %q is not a duration (write 500ms, 3s, 2m)", text))
		}
	}
	var empty []<-chan struct{}
	err := ofBackend(r, func(b *bridge.Application, backend string) error {
		drained, err := b.Drain(backend)
		empty = append(empty, drained)
		return err
	})
	if err != nil {
		return err
	}
	return reply(w, map[string]bool{"drained": within(r.Context(), wait, empty)})
}

// within reports whether all channels are closed within limit.
func within(ctx context.Context, limit time.Duration, all []<-chan struct{}) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, c := range all {
		select {
		case <-c:
			continue
		default:
		}
		select {
		case <-c:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (*Admin) resume(w http.ResponseWriter, r *http.Request) error {
	err := ofBackend(r, func(b *bridge.Application, backend string) error { return b.Resume(backend) })
	if err != nil {
		return err
	}
	return reply(w, map[string]bool{"resumed": true})
}

// ofBackend calls do for every application that has the backend that r names.
func ofBackend(r *http.Request, do func(b *bridge.Application, backend string) error) error {
	backend := r.URL.Query().Get("backend")
	if backend == "" {
		return apiError(http.StatusBadRequest, errors.New("backend: is missing; give the address as written in the configuration"))
	}
	found := false
	for _, a := range applications.Applications() {
		if !slices.Contains(a.Settings().Backends, backend) {
			continue
		}
		found = true
		if err := do(a.Application(), backend); err != nil {
			return apiError(http.StatusInternalServerError, err)
		}
	}
	if !found {
		return apiError(http.StatusNotFound, fmt.Errorf("there is no backend %q in use", backend))
	}
	return nil
}

func (*Admin) restart(w http.ResponseWriter, r *http.Request) error {
	command, n := r.URL.Query().Get("command"), 0
	for _, a := range applications.Applications() {
		if !a.Application().Spawned() || command != "" && a.Settings().Spawn.Command[0] != command {
			continue
		}
		n++
		if err := a.Application().Restart(r.Context()); err != nil {
			return apiError(http.StatusInternalServerError, fmt.Errorf("restarting %s: %w", a.Name(), err))
		}
	}
	if n == 0 {
		return apiError(http.StatusNotFound, errors.New("no such application was spawned"))
	}
	return reply(w, map[string]int{"restarted": n})
}

// allow refuses requests with another method.
func allow(method string, h caddy.AdminHandlerFunc) caddy.AdminHandler {
	return caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != method {
			w.Header().Set("Allow", method)
			return apiError(http.StatusMethodNotAllowed, fmt.Errorf("method not allowed, want %s", method))
		}
		return h(w, r)
	})
}

func apiError(status int, err error) error { return caddy.APIError{HTTPStatus: status, Err: err} }

func reply(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(v)
}

// Interface guard
var _ caddy.AdminRouter = (*Admin)(nil)

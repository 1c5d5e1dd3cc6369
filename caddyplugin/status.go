package caddyplugin

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/sluice-proxy/sluice/bridge/page"
	"github.com/sluice-proxy/sluice/bridge/registry"
)

func init() {
	caddy.RegisterModule(new(Status))
	httpcaddyfile.RegisterHandlerDirective("sluice_status", parseStatus)
	httpcaddyfile.RegisterDirectiveOrder("sluice_status", httpcaddyfile.Before, "respond") // and before sluice, which takes everything
	caddy.OnExit(func(context.Context) { live().Close() })
}

// live is the page of the applications of all configurations. It begins with the first
// configuration, to have a history when somebody looks.
var live = sync.OnceValue(func() *page.Page {
	return page.New(page.Options{Applications: func() (list []page.Named) {
		for _, a := range applications.Applications() {
			list = append(list, onPage(a))
		}
		return list
	}})
})

func onPage(a *registry.Application) page.Named {
	return page.Named{Name: a.Name(), Application: a.Application()}
}

// Status serves a page of the state of all applications, for people. Whoever may ask for it sees
// which routes and clients, as hashes, use them: have the site ask for a password.
type Status struct{}

// CaddyModule returns the Caddy module information.
func (*Status) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.sluice_status", New: func() caddy.Module { return new(Status) }}
}

// parseStatus parses the directive, which has no settings:
//
//	sluice_status [<matcher>]
func parseStatus(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	s := new(Status)
	return s, s.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens.
func (*Status) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() || d.NextBlock(d.Nesting()) {
		return d.Errf("sluice_status: unexpected '%s', there are no settings", d.Val())
	}
	return nil
}

// Provision begins the history.
func (*Status) Provision(caddy.Context) error {
	live()
	return nil
}

// ServeHTTP serves the page, and redirects /status to /status/, below which its parts are.
func (*Status) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	asked := r.URL.Path
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		asked = original.URL.Path
	}
	dir, name := path.Split(asked)
	if path.Base(dir) != "static" && name != "" && name != "view.json" && name != "stream" {
		w.Header().Set("Location", "./"+url.PathEscape(name)+"/")
		w.WriteHeader(http.StatusPermanentRedirect)
		return nil
	}
	live().ServeHTTP(w, r)
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Status)(nil)
	_ caddyfile.Unmarshaler       = (*Status)(nil)
	_ caddyhttp.MiddlewareHandler = (*Status)(nil)
)

package caddyplugin

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/registry"
)

func init() { caddy.RegisterModule(new(Handler)) }

// Handler passes requests to a FastCGI, SCGI, uwsgi or HTTP application. It sends the application no more requests at once
// than it has workers, keeps slow requests from taking all of them, and lets the others wait, or refuses
// them, where a plain proxy would fail.
//
// With the presets `php` and `cgi`, requests for files other than scripts are passed to the next
// handler, which should be `file_server`.
//
// Placeholders in the values are replaced when the configuration is loaded; placeholders of the request
// in `env` and `root`, for each request.
type Handler struct {
	config.Config

	site          *registry.Site
	fromWebServer bool
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.sluice", New: func() caddy.Module { return new(Handler) }}
}

// Provision acquires the application.
func (h *Handler) Provision(ctx caddy.Context) (err error) {
	warnRenamed(h.Written())
	defer func() { err = h.Written().In(err) }()
	h.fromWebServer = fromWebServer(ctx)
	if err := resolve(&h.Config); err != nil {
		return err
	}
	if err := checkFiles(&h.Config); err != nil {
		return err
	}
	configuration, user, err := newUser(ctx)
	if err != nil {
		return err
	}
	hooks := hooksOf(&h.Config.Site)
	hooks.FromWebServer = h.fromWebServer
	hooks.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, status int, err error) bool {
		return w.(*caddyWriter).fail(status, err)
	}
	hooks.ServeFile = func(w http.ResponseWriter, r *http.Request) (int, int64) { return w.(*caddyWriter).serveFile(r) }
	if h.site, err = configuration.Acquire(h.Config, hooks, user); err != nil {
		return err
	}
	h.warn(ctx)
	return nil
}

// Validate checks the configuration.
func (h *Handler) Validate() error { return h.Written().In(validate(h.Config, h.fromWebServer)) }

// warn logs settings that have no effect. A missing default fallback is not one of them.
func (h *Handler) warn(ctx caddy.Context) {
	for _, unused := range h.site.Handler().Unused() {
		text := strings.TrimPrefix(unused.Error(), "cgi: ")
		if !strings.HasPrefix(text, `fallback "`+defaultFallback+`"`) {
			ctx.Slogger().Warn("a setting has no effect: " + text)
		}
	}
}

// Cleanup releases the application, whose previous settings may apply again. Requests may still be in
// progress.
func (h *Handler) Cleanup() error {
	h.site.Release()
	return nil
}

// ServeHTTP answers r through the application.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	site := h.site.Handler()
	if cgi.ReceivedOf(r) == nil { // a web server sends files itself
		if _, ok := site.StaticFile(r); ok {
			return next.ServeHTTP(w, r)
		}
	}
	f := &caddyWriter{ResponseWriter: w, hasErrorRoutes: hasErrorRoutes(r), request: r, site: site, next: next}
	site.ServeHTTP(f, withOriginalURI(r))
	return f.err
}

// withOriginalURI returns r with the URI that the client has sent, which applications expect in
// REQUEST_URI, even if r was rewritten.
func withOriginalURI(r *http.Request) *http.Request {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || original.RequestURI == r.RequestURI {
		return r
	}
	asked := *r
	asked.RequestURI = original.RequestURI
	return &asked
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyfile.Unmarshaler       = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)

package caddyplugin

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/sluice-proxy/sluice/bridge"
)

// errorPages leaves errors to the server's handle_errors routes. What goes with the
// error (Retry-After, Proxy-Status) is in the header already, and stays there.
type errorPages struct {
	http.ResponseWriter
	err error // what the server is to be told; nil: the request was answered
}

// hasErrorRoutes reports whether there is somebody to leave errors to.
func hasErrorRoutes(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return ok && server != nil && server.Errors != nil && len(server.Errors.Routes) > 0
}

// WriteError implements bridge.ErrorWriter.
func (p *errorPages) WriteError(status int, err error) bool {
	if status < http.StatusBadRequest {
		return false // a redirect
	}
	p.err = caddyhttp.Error(status, err)
	return true
}

// Unwrap is for http.ResponseController.
func (p *errorPages) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// Interface guard
var _ bridge.ErrorWriter = (*errorPages)(nil)

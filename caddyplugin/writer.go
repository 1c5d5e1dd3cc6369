package caddyplugin

import (
	"errors"
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/sluice-proxy/sluice/bridge"
)

// caddyWriter is the bridge's ResponseWriter in Caddy. It leaves errors to the server's handle_errors
// routes, and static files to the next handler.
type caddyWriter struct {
	http.ResponseWriter
	hasErrorRoutes bool          // the server has handle_errors routes
	request        *http.Request // Caddy's
	site           *bridge.Handler
	next           caddyhttp.Handler
	err            error // the error for the server; nil: the request was answered
}

// hasErrorRoutes reports whether the server has handle_errors routes.
func hasErrorRoutes(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return ok && server != nil && server.Errors != nil && len(server.Errors.Routes) > 0
}

// fail leaves a failed request to the error routes. Retry-After and Proxy-Status are already in the header,
// and stay there.
func (f *caddyWriter) fail(status int, err error) bool {
	if !f.hasErrorRoutes || status < http.StatusBadRequest {
		return false // a redirect
	}
	f.err = caddyhttp.Error(status, err)
	return true
}

// serveFile answers a local redirect to a static file: the next handler answers as if the client had requested
// the file.
func (f *caddyWriter) serveFile(r *http.Request) (status int, bytes int64) {
	if _, ok := f.site.StaticFile(r); !ok {
		return 0, 0
	}
	f.request.Method, f.request.URL, f.request.RequestURI = r.Method, r.URL, r.RequestURI
	f.request.Header, f.request.Body, f.request.ContentLength = r.Header, r.Body, r.ContentLength
	w := &countingWriter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: f.ResponseWriter}, status: http.StatusOK}
	f.err = f.next.ServeHTTP(w, f.request)
	if failed := (caddyhttp.HandlerError{}); errors.As(f.err, &failed) && failed.StatusCode > 0 {
		w.status = failed.StatusCode
	} else if f.err != nil {
		w.status = http.StatusInternalServerError
	}
	return w.status, w.bytes
}

// Unwrap is for http.ResponseController.
func (f *caddyWriter) Unwrap() http.ResponseWriter { return f.ResponseWriter }

// countingWriter records the status and size of another handler's answer.
type countingWriter struct {
	*caddyhttp.ResponseWriterWrapper
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (w *countingWriter) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriterWrapper.Write(p)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom.
func (w *countingWriter) ReadFrom(r io.Reader) (int64, error) {
	n, err := w.ResponseWriterWrapper.ReadFrom(r)
	w.bytes += n
	return n, err
}

// Interface guards

package main

import (
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/basicauth"
	"github.com/sluice-proxy/sluice/bridge/config"
	evented "github.com/sluice-proxy/sluice/bridge/front"
	"github.com/sluice-proxy/sluice/bridge/registry"
)

// site is a site of a version of the configuration, as requests meet it.
type site struct {
	front   *front
	setting *config.HostedSite
	from    *registry.Site
	bridge  *bridge.Handler
	served  http.Handler    // the bridge, with traces if they are configured
	looped  *evented.Site   // nil: not in event loops
	auth    *basicauth.Auth // nil: no password is required
	hsts    string          // Strict-Transport-Security; "": none

	isNew bool // no former version of the configuration has it
}

func (s *site) clientTimeout() time.Duration { return time.Duration(s.setting.Timeouts.Client) }

// isForNet reports whether a request is not for a loop: one for a file, or one whose password takes
// long to check.
func (s *site) isForNet(r *http.Request) bool {
	switch {
	case s.looped == nil || s.auth != nil && r.Header["Authorization"] != nil:
		return true
	case s.front.refusing.Load():
		return false // the bridge refuses it
	}
	return s.bridge.HasFile(r)
}

// open returns the static file that r requests, nil if the bridge must answer.
func (s *site) open(r *http.Request) *bridge.File {
	if s.front.refusing.Load() {
		return nil // the bridge refuses the request
	}
	return s.bridge.File(r)
}

// file answers r with a static file.
func (s *site) file(w http.ResponseWriter, r *http.Request, file *bridge.File) (status int, bytes int64) {
	rc := http.NewResponseController(w)
	if r.ContentLength != 0 {
		_ = rc.SetReadDeadline(time.Now().Add(s.clientTimeout())) // net/http discards the body before it answers
	}
	if s.front.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	counted := &countingWriter{ResponseWriter: w, extend: func() { _ = rc.SetWriteDeadline(time.Now().Add(s.clientTimeout())) }}
	file.ServeHTTP(counted, r)
	return counted.status, counted.bytes
}

// redirected answers a local redirect of the application to a static file. It is
// bridge.SiteHooks.ServeFile.
func (s *site) redirected(w http.ResponseWriter, r *http.Request) (status int, bytes int64) {
	file := s.bridge.File(r)
	if file == nil {
		return 0, 0
	}
	file.AsIs()
	return s.file(w, r, file)
}

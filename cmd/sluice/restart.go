package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/sluice-proxy/sluice/bridge"
)

// restartHandler replaces the application's processes, and answers when that is done, or
// stops ends. listen is where it is served: web pages must not make their visitors'
// browsers ask for it, be it under a name of their own that leads here.
func restartHandler(b *bridge.Bridge, listen string, stops context.Context) http.Handler {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isOurs(r.Host, listen) {
			http.Error(w, "403 Forbidden: name this server by its address, or as localhost", http.StatusForbidden)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(stops, cancel)()
		if err := b.Restart(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "restarted\n") // the client may have left
	})
	return http.NewCrossOriginProtection().Handler(h)
}

// isOurs reports whether a Host field is an address, localhost, or the name that we listen
// at: none of those can be made to lead here by whoever owns the name.
func isOurs(host, listen string) bool {
	name := hostname(host)
	if _, err := netip.ParseAddr(name); err == nil || strings.EqualFold(name, "localhost") {
		return true
	}
	own := hostname(listen)
	return own != "" && strings.EqualFold(name, own)
}

// hostname is what is before the port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

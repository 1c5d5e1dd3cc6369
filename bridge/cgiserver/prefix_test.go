package cgiserver_test

import (
	"io"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
)

// A web server that ends the connection in the middle of a request has sent none: whatever it has
// sent of it, no handler gets to a clean end of the body.
func TestEveryPrefix(t *testing.T) {
	for protocol, request := range map[cgiserver.Protocol]string{
		cgiserver.FastCGI: begin + get + paramsEnd + record(5, "abc") + stdinEnd,
		cgiserver.SCGI:    netstring("CONTENT_LENGTH", "3", "SCGI", "1", "REQUEST_URI", "/") + "abc",
	} {
		t.Run(string(protocol), func(t *testing.T) {
			for n := range len(request) + 1 {
				whole := false
				bubble(t, func(t *testing.T) {
					p := connect(t, &cgiserver.Server{
						Protocol: protocol, Logger: slog.New(slog.DiscardHandler),
						Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
							body, err := io.ReadAll(r.Body)
							whole = err == nil && string(body) == "abc"
							if err == nil && !whole {
								t.Errorf("%q: a body %q", request[:n], body)
							}
						}),
					})
					go func() { _, _ = io.Copy(io.Discard, p.conn) }()
					p.send(request[:n])
					synctest.Wait() // a whole request is answered before the web server leaves
					_ = p.conn.Close()
					<-p.gone
				})
				if whole != (n == len(request)) {
					t.Errorf("%d of %d bytes %q: whole %v", n, len(request), request[:n], whole)
				}
			}
		})
	}
}

package caddyplugin

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// What reverse_proxy is told of a request that has failed before its answer, and what it may
// send to another upstream.
func TestTransportErrors(t *testing.T) {
	unavailable := &bridge.TransportError{Status: 502, Err: &pool.UnavailableError{Dials: []*pool.DialError{{Addr: "unix:/run/app.sock", Err: syscall.ENOENT}}}}
	get := httptest.NewRequest("GET", "/", nil)
	withBody := httptest.NewRequest("POST", "/", io.LimitReader(strings.NewReader("body"), 4))
	again := httptest.NewRequest("POST", "/", nil)
	again.Body = io.NopCloser(strings.NewReader("body"))
	for name, c := range map[string]struct {
		request *http.Request
		err     *bridge.TransportError
		retry   bool
		is      error
	}{
		"cannot connect":               {get, unavailable, true, syscall.ENOENT},
		"cannot connect, body in hand": {again, unavailable, true, syscall.ENOENT},
		"cannot connect, body is read": {withBody, unavailable, false, syscall.ENOENT},
		"no answer":                    {get, &bridge.TransportError{Status: 504, Err: io.ErrNoProgress}, false, io.ErrNoProgress},
	} {
		err := failure(c.err, replayable(c.request))
		var dial reverseproxy.DialError
		var herr caddyhttp.HandlerError
		if errors.As(err, &dial) != c.retry || !errors.As(err, &herr) || herr.StatusCode != c.err.Status || !errors.Is(err, c.is) {
			t.Errorf("%s: %v, retried %v, status %d", name, err, errors.As(err, &dial), herr.StatusCode)
		}
	}
}

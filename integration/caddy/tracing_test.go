//go:build linux

package caddy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// The context of Caddy's own tracing reaches the application, in the client's trace.
func TestTracing(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "none") // there is no collector
	a := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("Traceparent"))
	})
	s := start(t, "tracing\nsluice "+a.addr)
	const trace, parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-", "00f067aa0ba902b7"
	re := s.ask("GET", "/", "", "Traceparent", trace+parent+"-01")
	if !strings.HasPrefix(re.body, trace) || strings.Contains(re.body, parent) || len(re.body) != len(trace+parent+"-01") {
		t.Errorf("the application got %q", re.body)
	}
}

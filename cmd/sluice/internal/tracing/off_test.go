package tracing

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-proxy/sluice/bridge"
)

type nothing struct{}

func (nothing) ServeHTTP(http.ResponseWriter, *http.Request) {}

// Without a configuration there is nothing on a request's way.
func TestOffCostsNothing(t *testing.T) {
	var off *Tracing
	if h := off.Handler(nothing{}); h != (nothing{}) {
		t.Errorf("a handler of its own: %T", h)
	}
	r, o := httptest.NewRequest("GET", "/", nil), new(bridge.Outcome)
	if n := testing.AllocsPerRun(100, func() { off.Observe(r, o) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	off.Stop()
}

func BenchmarkOff(b *testing.B) {
	var off *Tracing
	h := off.Handler(nothing{})
	r, o, w := httptest.NewRequest("GET", "/", nil), new(bridge.Outcome), httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
		off.Observe(r, o)
	}
}

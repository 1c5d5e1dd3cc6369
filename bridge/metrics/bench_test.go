package metrics

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
)

// nobody is a Waiter that ignores what it is told.
type nobody struct{}

func (nobody) Settle(error) {}

// busyGate returns a gate that remembers as many routes as it may, and in which 5,000 requests
// wait.
func busyGate(b *testing.B) *admission.Gate {
	b.Helper()
	cfg := admission.Defaults(16)
	gate, err := admission.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	for i := range cfg.Routes {
		ticket, err := gate.Acquire(b.Context(), &admission.Request{Route: fmt.Sprintf("GET /page/%d", i), ClientKey: uint64(i + 1)})
		if err != nil {
			b.Fatal(err)
		}
		ticket.At("unix:/run/app.sock")
		ticket.Done()
	}
	for i := range cfg.Workers + 5000 {
		if _, err := gate.Enter(&admission.Request{Route: "GET /poll", ClientKey: uint64(i + 1), Long: true}, nobody{}); err != nil {
			b.Fatal(err)
		}
	}
	if s := gate.Snapshot(); s.Waiting < 5000 || len(s.Routes) == 0 {
		b.Fatalf("%d wait", s.Waiting)
	}
	return gate
}

func BenchmarkScrape(b *testing.B) {
	gate := busyGate(b)
	defer gate.Close()
	full := literal()
	for name, snapshot := range map[string]func() bridge.Snapshot{
		"snapshot taken before": of(full),
		"4096 routes, 5000 waiting": func() bridge.Snapshot {
			s := full
			s.Gate = gate.Snapshot()
			return s
		},
	} {
		b.Run(name, func(b *testing.B) {
			r := prometheus.NewRegistry()
			r.MustRegister(New(snapshot, Options{}))
			h := promhttp.HandlerFor(r, promhttp.HandlerOpts{})
			request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, request); w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
	b.Run("4096 routes, 5000 waiting, snapshot alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			gate.Snapshot()
		}
	})
}

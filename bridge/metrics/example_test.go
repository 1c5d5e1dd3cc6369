package metrics_test

import (
	"context"
	"fmt"
	"log"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/metrics"
)

func Example() {
	b, err := bridge.New(context.Background(), bridge.Config{ApplicationConfig: bridge.ApplicationConfig{Backends: []string{"unix:/run/app.sock"}, Workers: 16}})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()

	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.New(b.Snapshot, metrics.Options{}))
	// http.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "sluice_gate_workers" {
			fmt.Println(f.GetName(), f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	// Output: sluice_gate_workers 16
}

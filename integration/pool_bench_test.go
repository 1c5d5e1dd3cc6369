//go:build linux

package integration

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// BenchmarkMultiplexed is BenchmarkBridge/Small over one connection that all
// callers share, beside one for each, against net/http/fcgi and against an
// application that answers in as few writes as it can.
func BenchmarkMultiplexed(b *testing.B) {
	for _, bm := range []struct {
		name, application string
		multiplex         config.Switch
	}{
		{"Go/Kept", "./peers/backend", config.Off},
		{"Go/Shared", "./peers/backend", config.On},
		{"Batch/Kept", "./testdata/batch", config.Off},
		{"Batch/Shared", "./testdata/batch", config.On},
	} {
		b.Run(bm.name, func(b *testing.B) {
			gate, err := bridge.New(b.Context(), bridge.Config{
				ApplicationConfig: bridge.ApplicationConfig{
					Backends:  []string{"unix:" + startApplication(b, bm.application)},
					Workers:   callers,
					Multiplex: bm.multiplex,
					Queue:     config.Queue{Timeout: config.Duration(patience)},
				},
			})
			if err != nil {
				b.Fatal(err)
			}
			measure(b, func() func() error { return caller(b, gate, "GET /bytes/200?page=1", 0, 200) })
			in := gate.Snapshot().Pool.Instances[0]
			b.ReportMetric(float64(in.Dials), "dials")
			if err := gate.Close(); err != nil {
				b.Errorf("close the bridge: %v", err)
			}
		})
	}
}

// startApplication builds a package and starts it on the socket that it returns.
func startApplication(b *testing.B, pkg string) string {
	b.Helper()
	dir := socketDir(b)
	binary, socket := filepath.Join(dir, "application"), filepath.Join(dir, "app.sock")
	run(b, exec.Command("go", "build", "-o", binary, pkg))
	awaitSocket(b, start(b, exec.Command(binary, "--socket", socket)), socket)
	return socket
}

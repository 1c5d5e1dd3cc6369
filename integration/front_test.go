//go:build linux

package integration

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// fronts are the two ways a backend is put behind a gate. Each returns the URL
// of its root.
var fronts = map[string]func(testing.TB, backend) string{
	"bridge": func(t testing.TB, be backend) string {
		url, _ := serveBridge(t, be.config())
		return url
	},
	"sluice": func(t testing.TB, be backend) string {
		return startSluice(t, be.args()...).url
	},
}

// config is the bridge's configuration for the backend. Requests wait in line
// for as long as this package is patient.
func (be backend) config() bridge.Config {
	return bridge.Config{
		ApplicationConfig: bridge.ApplicationConfig{
			Backends:  []string{be.addr},
			Protocol:  be.protocol,
			Workers:   be.workers,
			Preset:    config.Preset(be.preset),
			KeepAlive: be.keepAlive,
			Queue:     config.Queue{Timeout: config.Duration(patience)},
		},
		SiteConfig: bridge.SiteConfig{Root: be.root, Env: be.env},
	}
}

// plainConfig is config with a plain queue, for tests whose requests the gate would
// hold back: it is not what they are about.
func (be backend) plainConfig() bridge.Config {
	cfg := be.config()
	cfg.Lanes = config.Off
	return cfg
}

// serveBridge serves a bridge in this process until the test ends, when it
// must hold nothing any more.
func serveBridge(t testing.TB, cfg bridge.Config) (url string, b *bridge.Handler) {
	t.Helper()
	log := &tail{}
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	cfg.Spool.Dir = t.TempDir()
	b, err := bridge.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(b)
	server.Config.ErrorLog = slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn)
	server.Start()
	t.Cleanup(func() {
		server.Close()
		wantIdle(t, b)
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log of the bridge:\n%s", log)
		}
	})
	return server.URL, b
}

// wantIdle waits until the bridge holds nothing for any request.
func wantIdle(t testing.TB, b *bridge.Handler) {
	t.Helper()
	awaitState(t, b, "the bridge is idle", func(s bridge.Snapshot) bool {
		busy := s.InFlight + s.Abandoned + int64(s.Gate.InUse+s.Gate.Waiting+s.Pool.Waiting+s.Spool.Buffers)
		for _, in := range s.Pool.Instances {
			busy += int64(in.Busy + in.Dialing + in.Closing)
		}
		return busy == 0
	})
}

// awaitState waits until the bridge is in a state.
func awaitState(t testing.TB, b *bridge.Handler, what string, in func(bridge.Snapshot) bool) {
	t.Helper()
	eventually(t, what, func() error {
		if s := b.Snapshot(); !in(s) {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
}

// errNotYet is an eventually's answer that needs no words.
var errNotYet = errors.New("not yet")

// within fails unless the channel delivers in time.
func within[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing in %v", what, patience)
		panic("unreachable")
	}
}

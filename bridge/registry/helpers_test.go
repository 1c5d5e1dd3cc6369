package registry

import (
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// noHooks are those of all sites.
var noHooks bridge.SiteHooks

// handler is the user that tests are.
var handler = &User{Name: "handler", Log: slog.DiscardHandler}

// newRegistry returns one that must be empty at the end of the test.
func newRegistry(t *testing.T) *Registry {
	t.Helper()
	r := New(Options{})
	t.Cleanup(func() {
		time.Sleep(grace)
		synctest.Wait()
		if left := r.applications(); len(left) > 0 {
			t.Errorf("%d applications are left", len(left))
		}
		r.Close()
	})
	return r
}

// running is a configuration that is, until the end of the test.
func running(t *testing.T, r *Registry) *Configuration {
	t.Helper()
	c := r.NewConfiguration(nil)
	if err := c.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// take is Acquire where it must not fail.
func take(t *testing.T, by *Configuration, cfg config.Config) *Site {
	t.Helper()
	s, err := by.Acquire(cfg, noHooks, handler)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// grace is Options.Grace by default.
const grace = 10 * time.Second

// giveBack releases sites and waits for the end of what they were of.
func giveBack(t *testing.T, sites ...*Site) {
	t.Helper()
	for _, s := range sites {
		s.Release()
	}
	time.Sleep(grace)
	synctest.Wait()
}

func at(workers int, backends ...string) config.Config {
	return config.Config{Application: config.Application{Backends: backends, Workers: workers}}
}

func (s *Site) wantWorkers(t *testing.T, n int) {
	t.Helper()
	if got := s.app.bridged.Snapshot().Gate.Workers; got != n {
		t.Errorf("%d workers, want %d", got, n)
	}
}

// occupy has a request in s until leave is called: its body does not come before.
func occupy(s *Site) (leave func()) {
	body, w := io.Pipe()
	r := httptest.NewRequest("POST", "/", body)
	go s.handler.ServeHTTP(httptest.NewRecorder(), r)
	synctest.Wait()
	return func() { _ = w.Close() }
}

// ask returns the status of the answer to a request to s: 502 if it is open, because nobody
// listens at its application's addresses, 503 if it is closed.
func ask(s *Site) int {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	return w.Code
}

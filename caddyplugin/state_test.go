package caddyplugin

import (
	"io"
	"log/slog"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// generation is a configuration, running or to be started.
func generation(t *testing.T, runs bool) *App {
	t.Helper()
	a := new(App)
	if err := a.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if runs {
		if err := a.Start(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = a.Stop() })
	return a
}

func outletOf(a *App) *outlet {
	return &outlet{log: slog.DiscardHandler, registry: prometheus.NewPedanticRegistry(), generation: a, module: "handler"}
}

// occupy has a request in l until leave is called: its body does not come before.
func occupy(l *lease) (leave func()) {
	body, w := io.Pipe()
	r := httptest.NewRequest("POST", "/", body)
	go l.ServeHTTP(httptest.NewRecorder(), r)
	synctest.Wait()
	return func() { _ = w.Close() }
}

// What is not used any more serves requests that are late, and those that it has, before
// it closes.
func TestApplicationLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := outletOf(generation(t, true))
		l, err := acquire(config.Config{Application: config.Application{Backends: []string{"unix:/nowhere/app.sock"}}}, out)
		if err != nil {
			t.Fatal(err)
		}
		open := func() bool {
			w := httptest.NewRecorder()
			l.ServeHTTP(w, get())
			switch w.Code {
			case 502: // nobody listens
				return true
			case 503: // it is closed
				return false
			}
			t.Fatalf("answered with %d", w.Code)
			return false
		}
		if err := l.release(); err != nil {
			t.Fatal(err)
		}
		if len(live()) != 0 {
			t.Error("it is still in use")
		}
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if !open() {
			t.Error("closed before it has lingered")
		}
		first, second := occupy(l), occupy(l)
		time.Sleep(time.Minute)
		first()
		time.Sleep(time.Hour)
		if !open() {
			t.Error("closed with a request in it")
		}
		second()
		synctest.Wait()
		if open() {
			t.Error("not closed after its last request")
		}
	})
}

// It closes when it has lingered, if there is no request.
func TestApplicationCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := outletOf(generation(t, true))
		cfg := config.Config{Application: config.Application{Backends: []string{"unix:/nowhere/app.sock"}}}
		one, err := acquire(cfg, out)
		if err != nil {
			t.Fatal(err)
		}
		two, err := acquire(cfg, out)
		if err != nil || one.app != two.app {
			t.Fatalf("%v, another application: %v", err, one.app != two.app)
		}
		_ = one.release()
		time.Sleep(2 * lingering)
		if len(live()) != 1 {
			t.Error("given up while it is in use")
		}
		_ = two.release()
		time.Sleep(lingering)
		synctest.Wait()
		w := httptest.NewRecorder()
		if one.ServeHTTP(w, get()); w.Code != 503 {
			t.Errorf("answered with %d, want it closed", w.Code)
		}
	})
}

// An upstream that nobody asks for is given back when another comes; one with requests
// stays.
func TestUpstreamsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := outletOf(generation(t, true))
		u, err := newUpstreams(config.Config{}, out)
		if err != nil {
			t.Fatal(err)
		}
		busy, err := u.get("unix:/nowhere/a")
		if err != nil {
			t.Fatal(err)
		}
		done := occupy(busy)
		if _, err := u.get("unix:/nowhere/b"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(unusedFor / 2)
		if _, err := u.get("unix:/nowhere/c"); err != nil {
			t.Fatal(err)
		}
		if len(live()) != 3 {
			t.Errorf("%d in use, want 3", len(live()))
		}
		time.Sleep(unusedFor/2 + 2*time.Second)
		if _, err := u.get("unix:/nowhere/d"); err != nil {
			t.Fatal(err)
		}
		if u.leases["unix:/nowhere/b"] != nil || len(live()) != 3 {
			t.Errorf("%d in use, want a, c and d", len(live()))
		}
		if again, err := u.get("unix:/nowhere/a"); err != nil || again != busy {
			t.Errorf("%v, another application: %v", err, again != busy)
		}
		done()
		if err := u.release(); err != nil {
			t.Error(err)
		}
		late, err := u.get("unix:/nowhere/e")
		if err != nil || len(live()) != 0 {
			t.Errorf("a late request gets %v; %d in use", err, len(live()))
		}
		w := httptest.NewRecorder()
		if late.ServeHTTP(w, get()); w.Code != 502 {
			t.Errorf("a late request is answered with %d, want 502: nobody listens", w.Code)
		}
		time.Sleep(lingering)
		synctest.Wait()
	})
}

package caddyplugin

import (
	"log/slog"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/bridge"
)

// What is not used any more serves requests that are late, and those that it has, before
// it closes.
func TestApplicationLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &outlet{log: slog.DiscardHandler, registry: prometheus.NewPedanticRegistry()}
		l, err := acquire(bridge.Config{Backends: []string{"unix:/nowhere/app.sock"}}, out)
		if err != nil {
			t.Fatal(err)
		}
		open := func() bool {
			w := httptest.NewRecorder()
			l.app.ServeHTTP(w, get())
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
		l.app.visits.enter()
		l.app.visits.enter()
		time.Sleep(time.Minute)
		l.app.visits.leave()
		time.Sleep(time.Hour)
		if !open() {
			t.Error("closed with a request in it")
		}
		l.app.visits.leave()
		synctest.Wait()
		if open() {
			t.Error("not closed after its last request")
		}
	})
}

// It closes when it has lingered, if there is no request.
func TestApplicationCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &outlet{log: slog.DiscardHandler, registry: prometheus.NewPedanticRegistry()}
		cfg := bridge.Config{Backends: []string{"unix:/nowhere/app.sock"}}
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
		if one.app.ServeHTTP(w, get()); w.Code != 503 {
			t.Errorf("answered with %d, want it closed", w.Code)
		}
	})
}

// An upstream that nobody asks for is given back when another comes; one with requests
// stays.
func TestUpstreamsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &outlet{log: slog.DiscardHandler, registry: prometheus.NewPedanticRegistry()}
		u, err := newUpstreams(bridge.Config{}, out)
		if err != nil {
			t.Fatal(err)
		}
		busy, err := u.get("unix:/nowhere/a")
		if err != nil {
			t.Fatal(err)
		}
		busy.visits.enter()
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
		busy.visits.leave()
		if err := u.release(); err != nil {
			t.Error(err)
		}
		if _, err := u.get("unix:/nowhere/e"); err == nil {
			t.Error("taken into use after the end")
		}
		time.Sleep(lingering)
		synctest.Wait()
	})
}

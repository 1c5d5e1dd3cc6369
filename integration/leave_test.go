//go:build linux

package integration

import (
	"context"
	"errors"
	"testing"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// Clients leave at every step of a request. Each step checks that the bridge
// then holds what the application still holds, and in the end nothing.
func TestClientLeaves(t *testing.T) {
	for name, backend := range map[string]func(testing.TB) backend{
		"libfcgi": func(t testing.TB) backend { return startLibfcgi(t, 1) },
		"php-fpm": func(t testing.TB) backend { return startFPM(t, fpmOptions{root: testdata(t, ""), workers: 1}) },
		"uwsgi":   func(t testing.TB) backend { return startUWSGI(t, 1) },
		"go":      func(t testing.TB) backend { return startGo(t, 1) },
		"scgi":    func(t testing.TB) backend { return startSCGI(t, 1) },

		"uwsgi in its protocol": func(t testing.TB) backend { return startUWSGISocket(t, "--socket", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			be := backend(t)
			for step, leave := range map[string]func(*testing.T, site, *bridge.Handler){
				"during a spooled upload": leaveDuringUpload,
				"in the queue":            leaveQueue,
				"before the first byte":   leaveBeforeFirstByte,
				"during the answer":       leaveDuringAnswer,
			} {
				t.Run(step, func(t *testing.T) { leaveAt(t, be, be.config(), leave) })
			}
			t.Run("during a streamed upload", func(t *testing.T) {
				cfg := be.config()
				cfg.RequestBuffering = config.Off
				leaveAt(t, be, cfg, leaveDuringUpload)
			})
		})
	}
}

// leaveAt lets clients leave at one step, several times over, and counts
// afterwards: goroutines, files, and by wantIdle the slots.
func leaveAt(t *testing.T, be backend, cfg bridge.Config, leave func(*testing.T, site, *bridge.Handler)) {
	checkLeaks(t)
	url, b := serveBridge(t, cfg)
	s := newSite(t, url+be.prefix)
	for range 5 {
		leave(t, s, b)
		wantIdle(t, b)
		if got := s.get(t, "/hello"); got != "hello\n" {
			t.Errorf("afterwards got %q", got)
		}
	}
}

func leaveDuringUpload(t *testing.T, s site, b *bridge.Handler) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	u := newPiecemeal(ctx, 10<<20)
	begun := s.put(t, ctx, "/body", u)
	if _, err := u.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	awaitState(t, b, "the upload has begun", func(s bridge.Snapshot) bool { return s.InFlight == 1 })
	cancel()
	if got := within(t, "the client", begun); !errors.Is(got.err, context.Canceled) {
		t.Fatalf("the upload ended with %v", got.err)
	}
}

func leaveQueue(t *testing.T, s site, b *bridge.Handler) {
	g := newGate(t)
	first := s.background(t, t.Context(), "/wait?gate="+g.dir)
	g.entered(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	second := s.background(t, ctx, "/hello")
	awaitState(t, b, "the second request is in line", func(s bridge.Snapshot) bool { return s.Gate.Waiting == 1 })
	cancel()
	within(t, "the second request", second).wantCancelled(t)
	awaitState(t, b, "it has left the line", func(s bridge.Snapshot) bool { return s.Gate.Waiting == 0 && s.InFlight == 1 })
	g.pass(t)
	within(t, "the first request", first).want(t, "waited\n")
}

func leaveBeforeFirstByte(t *testing.T, s site, b *bridge.Handler) {
	g := newGate(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := s.background(t, ctx, "/wait?gate="+g.dir)
	g.entered(t, 1)
	cancel()
	within(t, "the request", done).wantCancelled(t)
	// The application knows nothing of it: its worker is taken, and so must be
	// the slot, or the next request would be sent to nobody.
	awaitState(t, b, "the worker is still charged", func(s bridge.Snapshot) bool {
		return s.InFlight == 0 && s.Gate.InUse == 1
	})
	g.open(t)
}

func leaveDuringAnswer(t *testing.T, s site, b *bridge.Handler) {
	g := newGate(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp := s.open(t, ctx, "/stream?n=1000&kind=plain&gate="+g.dir)
	defer resp.Body.Close()
	wantNext(t, resp.Body, "data: 0\n\n")
	cancel()
	awaitState(t, b, "the request has ended", func(s bridge.Snapshot) bool { return s.InFlight == 0 })
	g.open(t)
}

//go:build linux

package integration

import (
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// One of two instances dies under load and comes back later. Only what it was doing
// can fail; the other serves meanwhile, and both when it is back.
func TestOneInstanceDies(t *testing.T) {
	checkLeaks(t)
	dir := socketDir(t)
	sockets := []string{filepath.Join(dir, "first.sock"), filepath.Join(dir, "second.sock")}
	first := startUWSGIAt(t, sockets[0], 4)
	second := startUWSGIAt(t, sockets[1], 4)
	cfg := first.config()
	cfg.Backends = append(cfg.Backends, second.addr)
	url, b := serveBridge(t, cfg)
	l := newLoad(t, url)

	var death event
	l.callers(t, 16, func(caller, i int) question {
		if (caller+i)%2 == 0 {
			return l.echo(http.MethodPost, l.filler[:i%3000])
		}
		return l.echo(http.MethodGet, nil)
	}, func() {
		pause(t, 500*time.Millisecond)
		death.begun = time.Now()
		if err := syscall.Kill(-first.process.Process.Pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-first.process.ended
		death.ended = time.Now()
		awaitState(t, b, "the first instance is known to be down", func(s bridge.Snapshot) bool {
			return s.Pool.Instances[0].State == "down"
		})
		pause(t, lasting(time.Second, 5*time.Second))
		t.Logf("down: %+v", b.Snapshot().Pool.Instances[0])
		startUWSGIAt(t, sockets[0], 4)
		awaitState(t, b, "the first instance serves again", func(s bridge.Snapshot) bool {
			return s.Pool.Instances[0].State != "down" && s.Pool.Instances[0].Busy > 0
		})
	})

	l.report(t)
	for _, f := range l.failed {
		if f.wrong || !f.during(death) {
			t.Errorf("%v; the death took from %v to %v of it", f, death.begun.Sub(f.begun), death.ended.Sub(f.begun))
		}
	}
	if l.right[http.MethodPost] == 0 {
		t.Error("no answers")
	}
	for _, in := range b.Snapshot().Pool.Instances {
		t.Logf("%+v", in)
	}
}

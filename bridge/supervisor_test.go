package bridge

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/app"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// fakeSupervisor stands for the application's processes where there can be none: inside a
// synctest bubble. It has one instance, which is the rig's peer, and writes down what it
// is told.
type fakeSupervisor struct {
	cfg supervise.Config

	mu          sync.Mutex
	told        []string
	refusing    time.Duration // 0: it does not
	quarantined map[string]time.Duration
	obstinate   error // what Prepare returns
}

const fakeInstance = "unix:/run/app.sock"

// newSpawnedRig is newRig with an application that is kept by the fake.
func newSpawnedRig(t *testing.T, cfg Config, scripts ...fcgitest.Script) (*rig, *fakeSupervisor) {
	t.Helper()
	k := new(fakeSupervisor)
	if cfg.Spawn == nil {
		cfg.Spawn = new(SpawnConfig)
	}
	cfg.Spawn.Command = []string{"./app.fcgi"}
	cfg.start = func(_ context.Context, c supervise.Config) (app.Supervisor, error) {
		k.cfg = c
		return k, c.Front.Add(fakeInstance, func() bool { return true })
	}
	return newRig(t, cfg, scripts...), k
}

func (k *fakeSupervisor) note(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.told = append(k.told, fmt.Sprintf(format, args...))
}

func (k *fakeSupervisor) Answered(addr, route string) { k.note("answered %s %s", addr, route) }

func (k *fakeSupervisor) Lost(addr string, r supervise.Request) {
	k.note("lost %s %s %s %s %v", addr, r.Method, r.Path, r.Route, r.Age)
}

func (k *fakeSupervisor) Wanted() { k.note("wanted") }

func (k *fakeSupervisor) Stalled(began time.Time) {
	if began.IsZero() {
		k.note("stall over")
		return
	}
	k.note("stalled for %v", time.Since(began).Round(time.Second))
}

func (k *fakeSupervisor) Refusing() (time.Duration, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refusing, k.refusing > 0
}

func (k *fakeSupervisor) Quarantined(route string) (time.Duration, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	d, ok := k.quarantined[route]
	return d, ok
}

func (k *fakeSupervisor) Restart(ctx context.Context) error {
	k.note("restart")
	return ctx.Err()
}

func (k *fakeSupervisor) Prepare(cfg supervise.Config) (commit, cancel func(), err error) {
	what := fmt.Sprintf("%s, %d to %d", cfg.Command[0], cfg.Instances, cfg.MaxInstances)
	k.note("prepare %s", what)
	return func() { k.note("commit %s", what) }, func() { k.note("cancel %s", what) }, k.obstinate
}

func (k *fakeSupervisor) Snapshot() supervise.Snapshot { return k.QuickSnapshot() }

func (k *fakeSupervisor) ExpectReady() {}

func (k *fakeSupervisor) QuickSnapshot() supervise.Snapshot {
	return supervise.Snapshot{Command: "./app.fcgi"}
}

func (k *fakeSupervisor) Close() error {
	k.note("close")
	return nil
}

// refuse has requests refused for d, and those that wait now.
func (k *fakeSupervisor) refuse(d time.Duration) {
	k.mu.Lock()
	k.refusing = d
	k.mu.Unlock()
	k.cfg.Front.Down()
	k.cfg.Front.Fail(fakeInstance)
}

func (k *fakeSupervisor) quarantine(route string, d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.quarantined = map[string]time.Duration{route: d}
}

// want checks what it was told since the last time.
func (k *fakeSupervisor) want(t *testing.T, told ...string) {
	t.Helper()
	synctest.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.Equal(k.told, told) {
		t.Errorf("was told %q, want %q", k.told, told)
	}
	k.told = nil
}

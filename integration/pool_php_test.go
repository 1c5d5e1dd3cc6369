//go:build linux

package integration

import (
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// Workers that retire after five requests and a master that replaces itself, both
// under load, are nobody's error.
func TestPHPReloadsUnderLoad(t *testing.T) {
	checkLeaks(t)
	be := startFPM(t, fpmOptions{root: testdata(t, ""), workers: 4, pool: "pm.max_requests = 5\n"})
	be.prefix = "/once.php"
	url, b := serveBridge(t, be.config())
	l := newLoad(t, url+be.prefix)
	reloads := 0
	l.callers(t, 12, l.mixed, func() {
		for end := time.Now().Add(lasting(6*time.Second, time.Minute)); time.Now().Before(end); reloads++ {
			pause(t, time.Second)
			reload(t, be.process)
		}
	})
	l.wantAllRight(t)
	again := l.wantRunOnce(t)
	in := b.Snapshot().Pool.Instances[0]
	t.Logf("%d reloads; %d idempotent requests ran twice; %+v", reloads, again, in)
}

// reload makes php-fpm replace itself and its workers, and waits until it has.
func reload(t testing.TB, fpm *process) {
	t.Helper()
	mark := fpm.output.size()
	if err := syscall.Kill(fpm.Process.Pid, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	eventually(t, "php-fpm has reloaded", func() error {
		if !strings.Contains(fpm.output.since(mark), "ready to handle connections") {
			return errNotYet
		}
		return nil
	})
}

// since is what was written after the first mark bytes, as far as it is kept.
func (o *tail) since(mark int64) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.buf.Bytes()
	return string(kept[max(0, int64(len(kept))-(o.written-mark)):])
}

// Two workers, and two clients that keep a connection to each: a third client is
// served at once, even if it needs a connection that was not used before, as what is
// not idempotent does where workers are known to retire.
func TestThirdClientIsServed(t *testing.T) {
	checkLeaks(t)
	const starved = time.Second
	be := startFPM(t, fpmOptions{root: testdata(t, ""), workers: 2, pool: "pm.max_requests = 50\n"})
	be.prefix = "/once.php"
	url, b := serveBridge(t, be.config())
	warm, third := newLoad(t, url+be.prefix), newLoad(t, url+be.prefix)

	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for !closed(done) {
				warm.ask(t.Context(), warm.once(http.MethodGet, nil, 0))
				pause(t, 20*time.Millisecond)
			}
		})
	}
	for i := range 40 {
		// Sometimes both connections are idle, sometimes one has just been used.
		pause(t, time.Duration(i%7)*13*time.Millisecond)
		third.ask(t.Context(), third.once(methods[i%len(methods)], nil, 0))
	}
	close(done)
	wg.Wait()

	// Now the two are idle, and pinned to their workers.
	for i := range 2 {
		pause(t, 500*time.Millisecond)
		third.ask(t.Context(), third.once(methods[i], nil, 0))
	}
	warm.wantAllRight(t)
	third.wantAllRight(t)
	if worst := max(warm.slowest, third.slowest); worst > starved {
		t.Errorf("the slowest answer took %v", worst)
	}
	t.Logf("%+v", b.Snapshot().Pool.Instances[0])
}

// Two processes, and Workers says eight. A request that needs a third connection waits
// for one of the two that are kept, unseen by the gate, and not for as long as they
// are: neither when nobody uses them, nor when others use them all the time.
func TestFewerProcessesThanWorkers(t *testing.T) {
	const starved = 2 * time.Second // an unused connection is kept for 5 s, a used one for ever
	few := func(t *testing.T) (l *load, b *bridge.Handler) {
		checkLeaks(t)
		be := startFPM(t, fpmOptions{root: testdata(t, ""), workers: 2})
		be.workers = 8
		be.prefix = "/once.php"
		url, b := serveBridge(t, be.plainConfig())
		return newLoad(t, url+be.prefix), b
	}
	finish := func(t *testing.T, l *load, b *bridge.Handler) {
		l.wantAllRight(t)
		l.wantRunOnce(t)
		if l.slowest > starved {
			t.Errorf("%s took %v", l.slowestOf, l.slowest)
		}
		t.Logf("%+v", b.Snapshot().Pool.Instances[0])
	}
	t.Run("unused", func(t *testing.T) {
		l, b := few(t)
		for range 3 {
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() { l.ask(t.Context(), l.once(http.MethodGet, nil, 200)) })
			}
			all.Wait()
		}
		finish(t, l, b)
	})
	t.Run("used", func(t *testing.T) {
		l, b := few(t)
		l.callers(t, 2, func(int, int) question { return l.once(http.MethodGet, nil, 20) }, func() {
			for i := range 6 {
				l.ask(t.Context(), l.once(methods[i%len(methods)], nil, 20))
			}
		})
		finish(t, l, b)
	})
	t.Run("used by six", func(t *testing.T) {
		l, b := few(t)
		l.callers(t, 6, l.small, func() { pause(t, lasting(5*time.Second, time.Minute)) })
		finish(t, l, b)
	})
}

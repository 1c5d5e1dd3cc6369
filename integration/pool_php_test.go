//go:build linux

package integration

import (
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
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

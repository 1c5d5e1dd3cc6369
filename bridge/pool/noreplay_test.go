package pool

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// helloPool returns a pool for a peer in memory that answers everything.
func helloPool(t *testing.T, cfg Config) *Pool {
	t.Helper()
	cfg.Instances = []Instance{{Addr: "app", Dial: fcgitest.Start(t, fcgitest.Hello).Dial}}
	return newPool(t, cfg)
}

// A request that cannot be sent again takes a kept connection only when it has
// been quiet for 100 ms, or nothing is known against it.
func TestLeaseNoReplay(t *testing.T) {
	for _, tc := range []struct {
		retires bool
		quiet   time.Duration
		fresh   bool
	}{
		{false, 0, false},
		{true, 0, true},
		{true, 100*time.Millisecond - time.Nanosecond, true},
		{true, 100 * time.Millisecond, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := helloPool(t, Config{Workers: 2, ClosesIdle: tc.retires})
			serve(t, p)
			time.Sleep(tc.quiet)
			l := leaseFor(t, p, Demand{NoReplay: true})
			defer l.Release()
			if l.Fresh() != tc.fresh {
				t.Errorf("retires %v, after %v of quiet: fresh is %v", tc.retires, tc.quiet, l.Fresh())
			}
		})
	}
}

// An application that closes a kept connection is remembered for it.
func TestClosingIdleIsNoticed(t *testing.T) {
	peer := fcgitest.StartUnix(t, fcgitest.CloseAfterEnd, fcgitest.Hello)
	p := poolFor(t, peer, 2)
	serve(t, p)
	if p.Snapshot().Instances[0].ClosesIdle {
		t.Error("noticed before it happened")
	}
	for peer.Open() > 0 {
		runtime.Gosched()
	}
	serve(t, p)
	if s := p.Snapshot().Instances[0]; !s.ClosesIdle || s.Stale != 1 {
		t.Errorf("snapshot %+v, want 1 stale and noticed", s)
	}
}

// The room of an unused connection that is closed for a waiter is given out after
// CloseDelay, not before: a threaded server needs that long to notice.
func TestCloseDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := helloPool(t, Config{Workers: 1, CloseDelay: 5 * time.Millisecond})
		serve(t, p)
		begun := time.Now()
		l := leaseFor(t, p, Demand{Fresh: true})
		defer l.Release()
		if d := time.Since(begun); d != 5*time.Millisecond || !l.Fresh() {
			t.Errorf("a connection came after %v, fresh is %v, want 5ms, true", d, l.Fresh())
		}
	})
}

// Close does not wait for CloseDelay.
func TestCloseDuringCloseDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := helloPool(t, Config{Workers: 1, CloseDelay: time.Minute})
		serve(t, p)
		waiting := startLeasing(p, Demand{Fresh: true})
		synctest.Wait()
		wantCounts(t, p, counts{closing: 1})
		begun := time.Now()
		p.Close()
		equal(t, "Close took", time.Since(begun), 0)
		<-waiting.done
		if waiting.err != ErrClosed {
			t.Errorf("LeaseFresh: %v, want ErrClosed", waiting.err)
		}
	})
}

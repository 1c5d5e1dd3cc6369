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

// A thread that notices late that its connection was closed is not free before: the room is given
// out CloseDelay after it has closed its side, or after freeWithin.
func TestClosingIsNoticedLate(t *testing.T) {
	for name, tc := range map[string]struct{ notices, after time.Duration }{
		"soon":  {0, 0},
		"late":  {300 * time.Millisecond, 300 * time.Millisecond},
		"never": {time.Hour, freeWithin},
	} {
		inBubble(t, name, func(t *testing.T) {
			peer := fcgitest.Start(t, func(s *fcgitest.Session) {
				defer s.HoldFor(tc.notices) // the script ends with the client's side
				fcgitest.Hello(s)
			})
			p := poolOf(t, peer.Dial, Config{Workers: 1, CloseDelay: 5 * time.Millisecond})
			serve(t, p)
			begun := time.Now()
			l := leaseFor(t, p, Demand{Fresh: true})
			defer l.Release()
			if d := time.Since(begun); d != tc.after+5*time.Millisecond || !l.Fresh() {
				t.Errorf("a connection came after %v, fresh is %v, want %v, true", d, l.Fresh(), tc.after+5*time.Millisecond)
			}
		})
	}
}

// Close waits neither for CloseDelay nor for a thread to notice.
func TestCloseDuringCloseDelay(t *testing.T) {
	for name, tc := range map[string]struct {
		delay  time.Duration
		script fcgitest.Script
	}{
		"the delay": {time.Minute, fcgitest.Hello},
		"a thread": {5 * time.Millisecond, func(s *fcgitest.Session) {
			defer s.HoldFor(time.Minute)
			fcgitest.Hello(s)
		}},
	} {
		inBubble(t, name, func(t *testing.T) {
			p := poolOf(t, fcgitest.Start(t, tc.script).Dial, Config{Workers: 1, CloseDelay: tc.delay})
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
}

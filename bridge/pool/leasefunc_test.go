package pool

import (
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// Requests wait in order without a goroutine of their own, and get what Lease returns.
func TestLeaseFunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.Hello), 1)
		serve(t, p)
		g := startLeaseFunc(p, Demand{})
		if g.lease == nil || g.lease.Fresh() { // at once
			t.Fatalf("%+v", g)
		}
		before := runtime.NumGoroutine()
		waiting := make([]*leasing, 100)
		for i := range waiting {
			waiting[i] = startLeaseFunc(p, Demand{})
		}
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines for %d requests that wait", n-before, len(waiting))
		}
		for _, next := range waiting[:5] {
			finish(t, g.lease)
			if g = next; !g.ended() || g.err != nil {
				t.Fatalf("%+v", g)
			}
		}
		waiting[5].cancel()
		if !waiting[5].ended() || waiting[5].lease != nil || waiting[5].after != 0 {
			t.Errorf("cancelled: %+v", waiting[5])
		}
		time.Sleep(p.config().WaitTimeout)
		if !waiting[6].ended() || !errors.Is(waiting[6].err, ErrWaitTimeout) {
			t.Errorf("too late: %+v", waiting[6])
		}
		last := startLeaseFunc(p, Demand{})
		p.Close()
		if !last.ended() || !errors.Is(last.err, ErrClosed) {
			t.Errorf("closed: %+v", last)
		}
		if again := startLeaseFunc(p, Demand{}); !errors.Is(again.err, ErrClosed) {
			t.Errorf("closed before: %+v", again)
		}
		g.lease.Release()
	})
}

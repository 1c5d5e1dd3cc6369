package pool

import (
	"testing"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// A connection whose last deadline has passed, as it has after every answer that
// was waited for, is as good as any.
func TestReuseAfterDeadline(t *testing.T) {
	p := poolFor(t, fcgitest.StartUnix(t, fcgitest.Hello), 1)
	for i := range 3 {
		l := mustLease(t, p)
		if l.Fresh() != (i == 0) {
			t.Errorf("request %d: fresh is %v", i, l.Fresh())
		}
		if _, err := converse(l); err != nil {
			t.Fatal(err)
		}
		l.Interrupt() // which leaves a deadline in the past
		l.Release()
	}
	if got := p.Snapshot().Instances[0]; got.Dials != 1 || got.Stale != 0 {
		t.Errorf("%d dials, %d stale, want 1 and 0", got.Dials, got.Stale)
	}
}

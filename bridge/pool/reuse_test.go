package pool_test

import (
	"context"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// TestReuseAfterDeadline keeps a connection whose last deadline has passed, as it
// has after every answer that was waited for: it is as good as any.
func TestReuseAfterDeadline(t *testing.T) {
	peer := fcgitest.StartUnix(t, fcgitest.Hello)
	p, err := pool.New(pool.Config{Workers: 1, Instances: []pool.Instance{{Addr: peer.Addr(), Dial: peer.Dial}}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range 3 {
		l, err := p.Lease(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if l.Fresh() != (i == 0) {
			t.Errorf("request %d: fresh is %v", i, l.Fresh())
		}
		request := fcgi.AppendBeginRequest(nil, l.RequestID(), fcgi.BeginRequest{Role: fcgi.RoleResponder, Flags: fcgi.FlagKeepConn})
		request = fcgi.AppendStreamEnd(request, fcgi.TypeParams, l.RequestID())
		request = fcgi.AppendStreamEnd(request, fcgi.TypeStdin, l.RequestID())
		if err := l.Write(request); err != nil {
			t.Fatal(err)
		}
		l.SendDone()
		for ev := (pool.Event{}); ev.Type != fcgi.TypeEndRequest; {
			if ev, err = l.Next(time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		l.Interrupt() // which leaves a deadline in the past
		l.Release()
	}
	if got := p.Snapshot().Instances[0]; got.Dials != 1 || got.Stale != 0 {
		t.Errorf("%d dials, %d stale, want 1 and 0", got.Dials, got.Stale)
	}
}

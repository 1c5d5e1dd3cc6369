package pool_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// TestLeaseSettled takes a kept connection for a request that cannot be sent
// again only when it has been quiet for 100 ms, or nothing is known against it.
func TestLeaseSettled(t *testing.T) {
	for _, c := range []struct {
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
			p := settlePool(t, pool.Config{Workers: 2, Retires: c.retires})
			use(t, p.Lease)
			time.Sleep(c.quiet)
			l, err := p.LeaseSettled(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if l.Fresh() != c.fresh {
				t.Errorf("retires %v, after %v of quiet: fresh is %v", c.retires, c.quiet, l.Fresh())
			}
			l.Release()
		})
	}
}

// TestRetiringIsNoticed has an application close a kept connection.
func TestRetiringIsNoticed(t *testing.T) {
	peer := fcgitest.StartUnix(t, fcgitest.CloseAfterEnd, fcgitest.Hello)
	p, err := pool.New(pool.Config{Workers: 2, Instances: []pool.Instance{{Addr: peer.Addr(), Dial: peer.Dial}}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	use(t, p.Lease)
	if p.Snapshot().Instances[0].Retires {
		t.Error("noticed before it happened")
	}
	for peer.Open() > 0 {
		runtime.Gosched()
	}
	use(t, p.Lease)
	if s := p.Snapshot().Instances[0]; !s.Retires || s.Stale != 1 {
		t.Errorf("snapshot %+v, want 1 stale and noticed", s)
	}
}

// TestSettle closes an unused connection for a waiter: its room is given out
// after Settle, not before, because a threaded server needs that long to notice.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := settlePool(t, pool.Config{Workers: 1, Settle: 5 * time.Millisecond})
		use(t, p.Lease)
		begun := time.Now()
		l, err := p.LeaseFresh(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begun); d != 5*time.Millisecond || !l.Fresh() {
			t.Errorf("a connection came after %v, fresh is %v, want 5ms, true", d, l.Fresh())
		}
		l.Release()
	})
}

// TestCloseWhileSettling closes the pool while room settles: nothing is waited for.
func TestCloseWhileSettling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := settlePool(t, pool.Config{Workers: 1, Settle: time.Minute})
		use(t, p.Lease)
		failed := make(chan error)
		go func() {
			_, err := p.LeaseFresh(t.Context())
			failed <- err
		}()
		synctest.Wait()
		if s := p.Snapshot(); s.Instances[0].Closing != 1 || s.Waiting != 1 {
			t.Errorf("snapshot %+v, want 1 closing and 1 waiting", s)
		}
		begun := time.Now()
		p.Close()
		if err := <-failed; err != pool.ErrClosed {
			t.Errorf("LeaseFresh: %v, want ErrClosed", err)
		}
		if d := time.Since(begun); d != 0 {
			t.Errorf("Close took %v", d)
		}
		if s := p.Snapshot(); s.Instances[0].Closing != 0 {
			t.Errorf("snapshot %+v, want nothing closing", s)
		}
	})
}

func settlePool(t *testing.T, cfg pool.Config) *pool.Pool {
	t.Helper()
	peer := fcgitest.Start(t, fcgitest.Hello)
	cfg.Instances = []pool.Instance{{Addr: peer.Addr(), Dial: peer.Dial}}
	p, err := pool.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// use has one request answered, so that its connection is kept.
func use(t *testing.T, lease func(context.Context) (*pool.Lease, error)) {
	t.Helper()
	l, err := lease(t.Context())
	if err != nil {
		t.Fatal(err)
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
	l.Release()
}

package bridge

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// The time a request may wait is for the gate and the pool together.
func TestQueueTimeoutCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Once(func(s *fcgitest.Session, q *fcgitest.Request) {
			s.HoldFor(2900 * time.Millisecond)
			s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
		}))
		var dials atomic.Int32
		r := startRig(t, Config{
			ApplicationConfig: ApplicationConfig{Workers: 1},
			ApplicationHooks: ApplicationHooks{
				dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
					if dials.Add(1) == 1 {
						return peer.Dial(ctx)
					}
					return nil, &net.OpError{Op: "dial", Err: syscall.EAGAIN} // the backlog stays full
				},
			},
		})
		first := r.start("GET", "/1", nil)
		second := r.start("GET", "/2", nil)
		r.wantPage(first())
		re := second()
		r.wantError(re, 503, errLimit)
		if re.after != 3*time.Second {
			t.Errorf("refused after %v, want 3s", re.after)
		}
	})
}

// An application that takes nothing of a body is given up when send_timeout has
// passed, not when first_byte has as well.
func TestSendTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Timeouts: ConnectionTimeouts{Send: Duration(10 * time.Second)}}}, fcgitest.ReadsNothing)
		re := r.do(http.MethodPut, "/", strings.NewReader(strings.Repeat("x", 5<<20)))
		r.wantError(re, 504, errTimeout)
		if re.after != 10*time.Second {
			t.Errorf("after %v, want 10s", re.after)
		}
		r.wantKept(0)
	})
}

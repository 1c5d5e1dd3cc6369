package bridge

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// An instance that turns everything away does not get what another can serve.
func TestInstanceThatTurnsAllAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := fcgitest.Start(t, func(s *fcgitest.Session) {})
		b := fcgitest.Start(t, fcgitest.Each(func(s *fcgitest.Session, r *fcgitest.Request) {
			if r.Param("REQUEST_URI") == "/poll" {
				s.HoldFor(100 * time.Second)
			}
			s.Send(fcgitest.Out(r.ID, fcgitest.Page), fcgitest.End(r.ID))
		}))
		r := startRig(t, Config{
			ApplicationConfig: ApplicationConfig{Workers: 8, Backends: []string{"unix:/a", "unix:/b"}},
			ApplicationHooks: ApplicationHooks{
				dial: func(ctx context.Context, _, addr string) (net.Conn, error) {
					if addr == "/a" {
						return a.Dial(ctx)
					}
					return b.Dial(ctx)
				},
			},
		})
		poll := r.start(http.MethodGet, "/poll", nil)
		synctest.Wait()
		bad, slow := 0, 0
		for range 20 {
			re := r.get("/")
			if re.status != 200 {
				bad++
			}
			if re.after > 100*time.Millisecond {
				slow++
			}
			time.Sleep(200 * time.Millisecond)
		}
		if bad+slow > 0 {
			t.Errorf("of 20 GETs %d failed and %d took over 100 ms, with b at 1 of 8", bad, slow)
		}
		poll()
	})
}

// A new connection that is closed at once is tried again, shared or not.
func TestTurnedAwayShared(t *testing.T) {
	for _, m := range []Switch{Off, On} {
		t.Run(string(m), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Multiplex: m, Workers: 8}}, func(s *fcgitest.Session) { s.HoldFor(time.Millisecond) }, fcgitest.MuxPage)
				r.wantPage(r.get("/"))
			})
		})
	}
}

// A shared connection ends: its requests, sent again, share the next one.
func TestReplaysShareAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Multiplex: Auto, Workers: 500}}, fcgitest.MuxAfter(10*time.Second, fcgitest.Page))
		r.peer.Values(fcgitest.ValuesYes)
		r.wantPage(r.get("/"))
		var all sync.WaitGroup
		for range 300 {
			all.Go(func() { _ = r.get("/poll") })
		}
		all.Go(func() {
			for range 6 {
				time.Sleep(1500 * time.Millisecond)
				_ = r.get("/x")
			}
		})
		time.Sleep(4 * time.Second)
		r.peer.Reload() // or one dead connection, or a restart
		time.Sleep(time.Second)
		if n := r.peer.Open(); n > 136 { // 128 of them carry one request each
			t.Errorf("%d connections after a reload under 300 polls", n)
		}
		all.Wait()
		time.Sleep(20 * time.Second)
	})
}

package bridge

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/spool"
)

// TestClientsLeaveAnywhere cuts requests and answers after any byte, on real
// sockets, many at once, in front of applications good and bad. Nothing may be
// left: slots and connections are counted here, goroutines and descriptors at
// the end of the package's tests.
func TestClientsLeaveAnywhere(t *testing.T) {
	for name, tc := range map[string]struct{ buffering, lanes Switch }{
		"spooled": {On, Off}, "streamed": {Off, Off}, "spooled, lanes": {On, On}, "streamed, lanes": {Off, On},
	} {
		t.Run(name, func(t *testing.T) {
			const workers = 4
			scripts := []fcgitest.Script{
				fcgitest.Echo, fcgitest.EOFInBody, fcgitest.Bytes(1 << 20), fcgitest.TwoEnds, fcgitest.ResetInScript,
				fcgitest.EarlyAnswer, fcgitest.EOFBeforeHeader, fcgitest.AcceptThenClose, fcgitest.BodyUnread, fcgitest.SlowBody(3, 0),
			}
			var turn atomic.Int64
			peer := fcgitest.StartUnix(t, func(s *fcgitest.Session) { scripts[int(turn.Add(1))%len(scripts)](s) })
			soon := Duration(100 * time.Millisecond) // some scripts never answer
			b, err := New(t.Context(), Config{
				ApplicationConfig: ApplicationConfig{
					Backends: []string{peer.Addr()},
					Workers:  workers,
					Lanes:    tc.lanes,
					Spool:    SpoolConfig{Dir: t.TempDir()},
					Queue:    QueueConfig{Timeout: soon, LongTimeout: soon},
					Timeouts: ConnectionTimeouts{Send: soon},
				},
				SiteConfig: SiteConfig{
					RequestBuffering: tc.buffering,
					Timeouts:         TimeoutsConfig{FirstByte: soon, BetweenBytes: soon, Abandoned: soon},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			srv := httptest.NewServer(b)
			var clients sync.WaitGroup
			for i := range 8 {
				rng := rand.New(rand.NewPCG(uint64(i), 3))
				clients.Go(func() {
					for range 50 {
						visit(t, srv.Listener.Addr().String(), rng)
					}
				})
			}
			clients.Wait()
			srv.Close()
			b.Close()
			s := b.Snapshot()
			s.Spool.DiskLimit = 0 // which is not held
			if s.InFlight != 0 || s.Abandoned != 0 || s.Gate.InUse != 0 || s.Gate.Waiting != 0 || s.Spool != (spool.Stats{}) {
				t.Errorf("held at the end: %+v", s)
			}
			if in := b.Snapshot().Pool.Instances[0]; in.Busy+in.Dialing+in.Closing+in.Idle+in.Zombies != 0 {
				t.Errorf("connections held at the end: %+v", in)
			}
			if n := peer.Accepted(); n < workers {
				t.Errorf("only %d connections: nothing was tried", n)
			}
		})
	}
}

// visit sends some of a request, reads some of the answer, and leaves.
func visit(t *testing.T, addr string, rng *rand.Rand) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	body := strings.Repeat("x", rng.IntN(100_000))
	request := fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", rng.IntN(10), len(body), body)
	if rng.IntN(2) == 0 {
		request = request[:rng.IntN(len(request))]
		_, _ = io.WriteString(c, request) // it may be refused before it is sent whole
		return
	}
	_, _ = io.WriteString(c, request)
	_, _ = io.CopyN(io.Discard, c, int64(rng.IntN(50_000)))
}

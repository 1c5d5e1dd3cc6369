package bridge

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// overHTTP2 has the client of r speak HTTP/2.
func (r *rig) overHTTP2() {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	front := fcgitest.Listen(1)
	srv := &http.Server{Handler: r.b, Protocols: &protocols}
	var served sync.WaitGroup
	served.Go(func() { _ = srv.Serve(front) }) // ends with http.ErrServerClosed
	tr := &http.Transport{
		Protocols:          &protocols,
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return front.Dial(ctx) },
		DisableCompression: true,
	}
	r.client.Transport = tr
	r.t.Cleanup(func() {
		tr.CloseIdleConnections()
		srv.Close()
		served.Wait()
	})
}

// An application may pause within its answer for longer than a client may take nothing. In HTTP/2, where
// a deadline ends the answer whether something is written or not, that is not the client's fault either.
func TestHTTP2Pause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{Client: Duration(time.Minute), BetweenBytes: Duration(time.Hour)}}},
			fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
				s.Send(fcgitest.Out(q.ID, "Content-Type: text/event-stream\n\n"))
				for _, event := range []string{"a", "b", "c"} {
					s.HoldFor(10 * time.Minute)
					s.Send(fcgitest.Out(q.ID, event))
				}
				s.Send(fcgitest.End(q.ID))
			}))
		r.overHTTP2()
		if re := r.get("/"); re.body != "abc" || re.err != nil {
			t.Errorf("%q, %v after %v", re.body, re.err, re.after)
		}
		r.wantKept(1)
	})
}

// A client in HTTP/2 that takes nothing of its answer is cut.
func TestHTTP2SlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{Client: Duration(time.Minute)}}}, fcgitest.Bytes(8<<20)) // more than a window
		r.overHTTP2()
		resp, err := r.client.Get("http://app.test/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		time.Sleep(2 * time.Minute)
		if o := r.outcome(); !o.Aborted {
			t.Errorf("%+v", o)
		}
		if n, err := io.Copy(io.Discard, resp.Body); err == nil {
			t.Errorf("complete with %d bytes", n)
		}
	})
}

// An application may take its time with a body that a client in HTTP/2 sends.
func TestHTTP2UploadToASlowApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 4 << 20 // more than there is room for on the way
		r := newRig(t, Config{
			ApplicationConfig: ApplicationConfig{Timeouts: ConnectionTimeouts{Send: Duration(10 * time.Minute)}},
			SiteConfig:        SiteConfig{RequestBuffering: Off, Timeouts: TimeoutsConfig{Client: Duration(time.Minute), FirstByte: Duration(time.Hour)}},
		}, func(s *fcgitest.Session) {
			q := s.Head()
			s.HoldFor(5 * time.Minute)
			for s.Stdin(q) != nil {
			}
			s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
		})
		r.overHTTP2()
		r.wantPage(r.post("/", strings.Repeat("x", size)))
		if o := r.outcome(); o.BytesIn != size || o.Err != nil {
			t.Errorf("%+v", o)
		}
	})
}

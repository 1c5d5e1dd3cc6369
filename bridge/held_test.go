package bridge

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// newHoldRig starts a bridge whose application may have clients held.
func newHoldRig(t *testing.T, cfg Config, script fcgitest.Script) *rig {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("a key of more than sixteen bytes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if cfg.Hold == nil {
		cfg.Hold = new(config.Hold)
	}
	cfg.Hold.KeyFile = key
	return newRig(t, cfg, script)
}

// A client that is held in HTTP/2 may hear nothing for as long as it likes.
func TestHTTP2Held(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHoldRig(t, Config{}, redirecting(map[string]string{"/": "Grip-Hold: stream\nGrip-Channel: a\n\nhello"}))
		r.overHTTP2()
		resp, err := r.client.Get("http://app.test/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		time.Sleep(10 * time.Minute)
		r.b.Refuse()
		if body, err := io.ReadAll(resp.Body); string(body) != "hello" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
	})
}

// A client of a stream has its time for each piece, also for one that comes right after the application was
// asked again.
func TestHeldSlowAfterNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHoldRig(t, Config{
			ApplicationConfig: ApplicationConfig{Hold: &config.Hold{Message: 1 << 20, Backlog: 4 << 20}},
			SiteConfig:        SiteConfig{Timeouts: TimeoutsConfig{Client: Duration(2 * time.Minute)}},
		}, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			s.Send(fcgitest.Out(q.ID, "Grip-Hold: stream\nGrip-Channel: a\n"))
			if q.Param("REQUEST_URI") == "/next" {
				s.Send(fcgitest.Out(q.ID, "\n"))
				for range 10 { // more than there is room for on the way to the client
					s.Send(fcgitest.Out(q.ID, strings.Repeat("x", 60<<10)))
				}
			} else {
				s.Send(fcgitest.Out(q.ID, "Grip-Link: </next>; rel=next; timeout=1\n\none"))
			}
			s.Send(fcgitest.End(q.ID))
		}))
		c := r.raw()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if r.ended() != 1 {
			t.Error("a client that takes nothing is waited for")
		}
		c.Close()
	})
}

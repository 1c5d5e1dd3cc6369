package bridge

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// Whatever becomes of a request, its ticket is given back, and what it took is learned
// if and only if the application has said that it has finished.
func TestTickets(t *testing.T) {
	soon := Duration(3 * time.Second)
	for name, tc := range map[string]struct {
		script  fcgitest.Script
		method  string
		body    string
		leave   time.Duration // the client does; 0: it stays
		learned int           // requests
		later   int           // after everything that was abandoned is given up
	}{
		"a page":                            {fcgitest.Hello, "GET", "", 0, 1, 1},
		"a page for HEAD":                   {fcgitest.Hello, "HEAD", "", 0, 1, 1},
		"a page in pieces":                  {fcgitest.SlowBody(3, 100*time.Millisecond), "GET", "", 0, 1, 1},
		"a large one":                       {fcgitest.Bytes(1 << 20), "GET", "", 0, 1, 1},
		"an upload":                         {fcgitest.Echo, "POST", strings.Repeat("x", 100_000), 0, 1, 1},
		"an early answer":                   {fcgitest.EarlyAnswer, "POST", strings.Repeat("x", 100_000), 0, 1, 1},
		"a local redirect":                  {redirecting(map[string]string{"/": "Location: /there\n\n", "/there": fcgitest.Page}), "GET", "", 0, 2, 2},
		"too many":                          {fcgitest.Answer("Location: /again\n\n"), "GET", "", 0, maxRedirects, maxRedirects},
		"an answer of nothing":              {fcgitest.EndWithoutStdout, "GET", "", 0, 1, 1},
		"less than was announced":           {fcgitest.Answer("Content-Length: 6\n\nHello"), "GET", "", 0, 1, 1},
		"a header that cannot be used":      {fcgitest.Answer("no header\n\n"), "GET", "", 0, 0, 0},
		"the connection breaks in a header": {fcgitest.EOFInHeader, "GET", "", 0, 0, 0},
		"in a body":                         {fcgitest.EOFInBody, "GET", "", 0, 0, 0},
		"every time":                        {fcgitest.AcceptThenClose, "GET", "", 0, 0, 0},
		"refused":                           {fcgitest.Refuse(fcgitest.UnknownRole), "GET", "", 0, 0, 0},
		"overloaded":                        {fcgitest.Refuse(fcgitest.Overloaded), "GET", "", 0, 0, 0},
		"no answer":                         {fcgitest.SilentForever, "GET", "", 0, 0, 1}, // known to be long when it is given up
		"a late answer":                     {fcgitest.AnswerAfter(4*time.Second, fcgitest.Page), "GET", "", 0, 0, 1},
		"the client leaves":                 {fcgitest.AnswerAfter(time.Second/2, fcgitest.Page), "GET", "", 100 * time.Millisecond, 0, 1},
		"and the application stays":         {fcgitest.SilentForever, "GET", "", 100 * time.Millisecond, 0, 1},
		"it leaves in an answer":            {fcgitest.Ticks(1000, time.Second), "GET", "", 1500 * time.Millisecond, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer := fcgitest.Start(t, tc.script)
				r := startRig(t, Config{
					ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 2},
					SiteConfig: SiteConfig{
						Timeouts: TimeoutsConfig{FirstByte: soon, BetweenBytes: soon, Abandoned: soon},
					},
					ApplicationHooks: ApplicationHooks{
						dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
							c, err := peer.Dial(ctx)
							return distantConn{c}, err
						},
					},
				})
				ctx := context.Background()
				if tc.leave > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.leave)
					defer cancel()
				}
				var body io.Reader
				if tc.body != "" {
					body = strings.NewReader(tc.body)
				}
				req, err := http.NewRequestWithContext(ctx, tc.method, "http://app.test/", body)
				if err != nil {
					t.Fatal(err)
				}
				r.send(req)
				if got := r.learned(); got != tc.learned {
					t.Errorf("%d requests learned from, want %d", got, tc.learned)
				}
				time.Sleep(time.Minute)
				if got := r.learned(); got != tc.later {
					t.Errorf("%d requests learned from in the end, want %d", got, tc.later)
				}
				r.wantNothingHeld()
			})
		})
	}
}

// distantConn takes some time to write: what takes none is not in a snapshot.
type distantConn struct{ net.Conn }

func (c distantConn) Write(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return c.Conn.Write(p)
}

// learned returns how many requests the gate has learned from.
func (r *rig) learned() (n int) {
	for _, route := range r.gate().Routes {
		n += route.Short + route.Long
	}
	return n
}

// What a request takes counts from when it is sent: waiting for a connection does not
// make it a long one.
func TestWaitingForAConnectionIsNotRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 2}}, fcgitest.Once(func(s *fcgitest.Session, q *fcgitest.Request) {
			s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
		}))
		r.wantPage(r.get("/"))
		time.Sleep(time.Minute)
		r.peer.Restart(2500 * time.Millisecond)
		r.get("/")
		for _, route := range r.gate().Routes {
			if route.Long != 0 {
				t.Errorf("%+v", route)
			}
		}
	})
}

// Nothing of what clients keep secret is in a snapshot or a log.
func TestNothingSecretIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{
			ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 4},
			SiteConfig: SiteConfig{
				TrustedProxies: []string{"192.0.2.1"},
				Client:         ClientConfig{Key: "cookie PHPSESSID", MaxAddresses: 1},
			},
		}, slowly(2*time.Second))
		var open []func() reply
		for i, target := range []string{
			"/poll?token=hidden1", "/page?hidden2", "/page?a=1;b=hidden3", "/x;jsessionid=hidden4?%68idden5=1",
			"/page?q=a%26hidden6&hidden7", "/hidden8hidden8hidden8hidden8hidden8hidden8hidden8hidden8hidden8hidden8",
		} {
			open = append(open, r.startAsking("GET", target, "Cookie", "PHPSESSID=hidden9-hidden9", "X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i)))
			open = append(open, r.startAsking("GET", target, "Authorization", "Basic hidden0", "X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i)))
		}
		var shown strings.Builder
		shown.WriteString(r.snapshotText())
		for _, o := range open {
			o()
		}
		shown.WriteString(r.snapshotText())
		for line := range strings.Lines(r.log.String()) {
			if !strings.Contains(line, "level=DEBUG") {
				shown.WriteString(line)
			}
		}
		if i := strings.Index(shown.String(), "hidden"); i >= 0 {
			t.Errorf("shown: ...%s...", shown.String()[max(0, i-60):i+20])
		}
		if !strings.Contains(shown.String(), "GET any /page?a,b") {
			t.Errorf("no route in the snapshot: %s", shown.String())
		}
	})
}

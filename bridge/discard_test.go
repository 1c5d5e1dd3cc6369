package bridge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

type headerRefusal struct {
	target string
	field  string // of the header
	status int
}

// headerRefusals are requests that the header alone decides.
func headerRefusals() map[string]headerRefusal {
	return map[string]headerRefusal{
		"hidden":          {"/app/data/x", "", 404},
		"not there":       {"/elsewhere", "", 404},
		"bad path":        {"/app/a%00b", "", 400},
		"fragment":        {"/app/#x", "", 400},
		"log-in":          {"/app/login", "", 401},
		"header too long": {"/app/", "X-Filler: " + strings.Repeat("x", 2000) + "\r\n", 431},
	}
}

func headerRefusalConfig(buffering Switch) Config {
	return Config{
		SiteConfig: SiteConfig{
			Mount:            "/app",
			Hide:             []string{"/data"},
			MaxParams:        1500,
			MaxBody:          20 << 20,
			RequestBuffering: buffering,
		},
		SiteHooks: SiteHooks{
			Identify: func(r *http.Request, c *cgi.Client) {
				if r.URL.Path == "/app/login" {
					c.Refused = &cgi.RequestError{Status: 401, Challenge: "Basic"}
				}
			},
		},
	}
}

// What the header alone decides is answered at once: nobody is asked for the body, and
// nothing of it is read.
func TestHeaderAloneDecides(t *testing.T) {
	bodies := map[string]string{
		"expected": "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n", "small": "Content-Length: 4\r\n\r\n",
		"large": "Content-Length: 10000000\r\n\r\nthe beginning", "chunked": "Transfer-Encoding: chunked\r\n\r\n",
		"chunked, expected": "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
	}
	for name, tc := range headerRefusals() {
		for kind, body := range bodies {
			for _, buffering := range []Switch{On, Off} {
				t.Run(fmt.Sprintf("%s, %s, buffering %s", name, kind, buffering), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						r := newRig(t, headerRefusalConfig(buffering), fcgitest.Echo)
						c := r.raw()
						begun := time.Now()
						io.WriteString(c, "POST "+tc.target+" HTTP/1.1\r\nHost: app.test\r\n"+tc.field+body)
						resp, err := http.ReadResponse(bufio.NewReader(c), nil)
						if err != nil {
							t.Fatal(err)
						}
						if text, err := io.ReadAll(resp.Body); resp.StatusCode != tc.status || err != nil || time.Since(begun) != 0 {
							t.Errorf("%d %q, %v after %v; want %d at once", resp.StatusCode, text, err, time.Since(begun), tc.status)
						}
						if n := r.outcome().BytesIn; n != 0 {
							t.Errorf("%d bytes of the body were read", n)
						}
						if n := r.peer.Accepted(); n != 0 {
							t.Errorf("%d connections to the application", n)
						}
						// It is not waited for for ever, and no body is a request.
						if n, err := io.Copy(io.Discard, c); n != 0 || err != nil {
							t.Errorf("then %d bytes, %v", n, err)
						}
						if d := time.Since(begun); d > discardPause+time.Second {
							t.Errorf("the connection ended after %v", d)
						}
					})
				})
			}
		}
	}
}

// The same for a client that sends all of its body before it reads: it is no reset.
func TestHeaderAloneDecidesAndTheBodyIsSent(t *testing.T) {
	const size = 5 << 20
	for name, tc := range headerRefusals() {
		for kind, body := range map[string]string{
			"announced": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)),
			"chunked":   fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, strings.Repeat("x", size)),
			"expected":  fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)),
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, headerRefusalConfig(On), fcgitest.Echo)
					wantAnswerAfter(t, r.raw(), "POST "+tc.target+" HTTP/1.1\r\nHost: app.test\r\n"+tc.field+body, tc.status)
				})
			})
		}
	}
}

// wantAnswerAfter checks that a client that sends text and then reads is answered so, and
// with the end of the connection.
func wantAnswerAfter(t *testing.T, c net.Conn, text string, status int) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatalf("sending the body: %v", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); resp.StatusCode != status || err != nil {
		t.Errorf("%d %q, %v; want %d", resp.StatusCode, body, err, status)
	}
	if n, err := io.Copy(io.Discard, c); n != 0 || err != nil {
		t.Errorf("then %d bytes, %v", n, err)
	}
}

// Neither is it where no process of the application runs, nor for a route in quarantine.
func TestUnavailableIsAnsweredBeforeTheBody(t *testing.T) {
	for name, refuse := range map[string]func(*fakeSupervisor){
		"down":        func(k *fakeSupervisor) { k.refuse(time.Minute) },
		"quarantined": func(k *fakeSupervisor) { k.quarantine("POST any /report/*", time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, k := newSpawnedRig(t, Config{}, fcgitest.Hello)
				refuse(k)
				wantAnswerAfter(t, r.raw(), fmt.Sprintf("POST /report/7 HTTP/1.1\r\nHost: app.test\r\nContent-Length: %d\r\n\r\n%s", 5<<20, strings.Repeat("x", 5<<20)), 503)
				if o := r.outcome(); o.BytesIn != 0 || string(o.Refused) != name {
					t.Errorf("%d bytes of the body were read, refused %q", o.BytesIn, string(o.Refused))
				}
			})
		})
	}
}

// An application that answers while its body is streamed is heard, whatever it says, by
// a client that sends on.
func TestEarlyAnswerAndTheBodyIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{RequestBuffering: Off}}, fcgitest.BodyUnread)
		wantAnswerAfter(t, r.raw(), fmt.Sprintf("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: %d\r\n\r\n%s", 5<<20, strings.Repeat("x", 5<<20)), 200)
	})
}

// A connection is kept if the body it was refused for is small, and comes.
func TestConnectionIsKeptAfterASmallBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Mount: "/app"}}, fcgitest.Hello)
		c := r.raw()
		in := bufio.NewReader(c)
		want := func(status int) {
			t.Helper()
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); resp.StatusCode != status || resp.Close || err != nil {
				t.Errorf("%d, close %v, %v; want %d", resp.StatusCode, resp.Close, err, status)
			}
		}
		const post = "POST /x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 40\r\n\r\n"
		smuggled := "GET /app/ HTTP/1.1\r\nHost: app.test\r\n\r\n  " // 40 bytes
		io.WriteString(c, post+smuggled)
		want(404)
		io.WriteString(c, post)
		want(404)
		io.WriteString(c, smuggled[:20])
		time.Sleep(time.Second)
		io.WriteString(c, smuggled[20:]+"GET /app/ HTTP/1.1\r\nHost: app.test\r\n\r\n")
		want(200)
		io.WriteString(c, post)
		want(404)
		time.Sleep(discardPause + time.Second)
		io.WriteString(c, smuggled)
		if n, err := in.ReadByte(); err == nil {
			t.Errorf("after a body that did not come in time there is %q", n)
		}
		if n := len(r.peer.Requests()); n != 1 {
			t.Errorf("the application was asked %d times", n)
		}
	})
}

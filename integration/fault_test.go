//go:build linux

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// A worker that dies takes its answer with it; its master starts another.
func TestWorkerDies(t *testing.T) {
	checkLeaks(t)
	be := startFPM(t, fpmOptions{root: testdata(t, ""), workers: 2})
	url, _ := serveBridge(t, be.config())
	s := newSite(t, url+be.prefix)

	for range 5 {
		resp, body := s.do(t, s.request(t, http.MethodPost, "/die?at=header", nil))
		if resp.StatusCode != http.StatusBadGateway || !strings.Contains(resp.Header.Get("Proxy-Status"), "http_response_incomplete") {
			t.Errorf("no answer at all: %s, Proxy-Status %q\n%s", resp.Status, resp.Header.Get("Proxy-Status"), head(body))
		}

		g := newGate(t)
		resp = s.open(t, t.Context(), "/die?at=body&gate="+g.dir)
		wantNext(t, resp.Body, "the beginning of")
		g.pass(t)
		rest, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil {
			t.Errorf("an answer cut short ended cleanly after another %q", rest)
		}
		if got := s.get(t, "/hello"); got != "hello\n" {
			t.Errorf("afterwards got %q", got)
		}
	}
}

// For HTTP/1.0 the end of the connection is the end of the body, so only a reset
// can tell the client that this is not it.
func TestWorkerDiesBeforeOldClient(t *testing.T) {
	checkLeaks(t)
	be := startFPM(t, fpmOptions{root: testdata(t, ""), workers: 2})
	url, _ := serveBridge(t, be.config())
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	g := newGate(t)
	fmt.Fprintf(c, "GET %s/die?at=body&gate=%s HTTP/1.0\r\nHost: it\r\n\r\n", be.prefix, g.dir)
	var answer []byte
	for !bytes.HasSuffix(answer, []byte("the beginning of")) {
		buf := make([]byte, 1000)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, answer)
		}
		answer = append(answer, buf[:n]...)
	}
	g.pass(t)
	if rest, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("then %q, error %v; want a reset", rest, err)
	}
}

// With request_buffering off, an application that has seen enough answers
// while the client is still sending.
func TestEarlyAnswer(t *testing.T) {
	for name, backend := range map[string]func(testing.TB) backend{
		"libfcgi": func(t testing.TB) backend { return startLibfcgi(t, 2) },
		"php-fpm": func(t testing.TB) backend { return startFPM(t, fpmOptions{root: testdata(t, ""), workers: 2}) },
		"go":      func(t testing.TB) backend { return startGo(t, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			be := backend(t)
			cfg := be.config()
			cfg.RequestBuffering = config.Off
			url, b := serveBridge(t, cfg)
			s := newSite(t, url+be.prefix)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()

			const size, first = 10 << 20, 100_000
			u := newPiecemeal(ctx, size)
			begun := s.put(t, ctx, "/early", u)
			if _, err := u.Write(make([]byte, first)); err != nil {
				t.Fatal(err)
			}
			got := within(t, "the answer, while the upload goes on", begun)
			if got.err != nil {
				t.Fatal(got.err)
			}
			defer got.Body.Close()
			wantNext(t, got.Body, "early\n")
			if name == "php-fpm" {
				// PHP ends the answer only when it has been sent the whole body.
				if _, err := u.Write(make([]byte, size-first)); err != nil {
					t.Fatal(err)
				}
			}
			if rest, err := io.ReadAll(got.Body); err != nil || len(rest) > 0 {
				t.Errorf("at the end: %q, error %v", rest, err)
			}
			cancel()
			wantIdle(t, b)
			if got := s.get(t, "/hello"); got != "hello\n" {
				t.Errorf("afterwards got %q", got)
			}
		})
	}
}

// A streamed upload arrives whole, and more than a socket's buffer of it.
func TestStreamedUpload(t *testing.T) {
	checkLeaks(t)
	be := startLibfcgi(t, 2)
	cfg := be.config()
	cfg.RequestBuffering = config.Off
	url, _ := serveBridge(t, cfg)
	s := newSite(t, url)
	data := random(5_000_000)
	wantBody(t, s.post(t, "/body", data), data)
	if got := s.post(t, "/echo", data); got != string(data) {
		t.Errorf("/echo answered %d bytes, not the %d sent", len(got), len(data))
	}
	// Chunked: read whole all the same, because CONTENT_LENGTH must be true.
	_, got := s.do(t, s.request(t, http.MethodPost, "/body", io.MultiReader(bytes.NewReader(data))))
	wantBody(t, got, data)
}

// Slow clients cost no worker: there is one, and it serves the others.
func TestSlowClients(t *testing.T) {
	checkLeaks(t)
	be := startLibfcgi(t, 1)
	url, b := serveBridge(t, be.config())
	s := newSite(t, url)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	unread := s.open(t, ctx, "/download?n=20000000")
	defer unread.Body.Close()
	if got := s.get(t, "/hello"); got != "hello\n" {
		t.Errorf("beside a client that does not read: %q", got)
	}

	u := newPiecemeal(ctx, 1<<20)
	begun := s.put(t, ctx, "/body", u)
	if _, err := u.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	awaitState(t, b, "the upload is spooled", func(s bridge.Snapshot) bool { return s.InFlight == 2 })
	if got := s.get(t, "/hello"); got != "hello\n" {
		t.Errorf("beside a client that uploads slowly: %q", got)
	}

	wantPattern(t, unread.Body, 20_000_000)
	cancel()
	if got := within(t, "the upload's end", begun); !errors.Is(got.err, context.Canceled) {
		t.Errorf("the upload ended with %v", got.err)
	}
}

// A full backlog (EAGAIN) is waited for; it is not an error page.
func TestFullBacklog(t *testing.T) {
	checkLeaks(t)
	be := startFPM(t, fpmOptions{root: testdata(t, ""), workers: 1, backlog: 1})
	// Another gate has the one worker, and strangers fill the backlog behind it.
	cfg := be.config()
	cfg.ApplicationConfig.Timeouts.Idle = config.Duration(time.Millisecond) // to give the worker back
	url, _ := serveBridge(t, cfg)
	g := newGate(t)
	waiting := newSite(t, url+be.prefix).background(t, t.Context(), "/wait?gate="+g.dir)
	g.entered(t, 1)
	var strangers []net.Conn
	defer func() {
		for _, c := range strangers {
			c.Close()
		}
	}()
	for {
		c, err := net.Dial("unix", strings.TrimPrefix(be.addr, "unix:"))
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		strangers = append(strangers, c)
	}
	url, b := serveBridge(t, be.config())
	done := newSite(t, url+be.prefix).background(t, t.Context(), "/hello")
	awaitState(t, b, "the bridge met a full backlog", func(s bridge.Snapshot) bool {
		return s.Pool.Instances[0].BacklogFull > 0
	})
	for _, c := range strangers {
		c.Close()
	}
	g.pass(t)
	within(t, "the worker's other answer", waiting).want(t, "waited\n")
	within(t, "the answer after the backlog drained", done).want(t, "hello\n")
}

package bridge

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// After Refuse what comes is told to come again, and what is there goes on and ends its
// connection.
func TestRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.AnswerAfter(time.Second, fcgitest.Page))
		ask := func() net.Conn {
			c := r.raw()
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n") // the answer says whether it came
			synctest.Wait()
			return c
		}
		want := func(what string, c net.Conn, status int) {
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || resp.StatusCode != status || !resp.Close {
				t.Errorf("%s: %+v, %v, want %d and the end of the connection", what, resp, err, status)
			}
		}
		first, second := ask(), ask() // which waits
		r.b.Refuse()
		third := ask()
		want("the third", third, http.StatusServiceUnavailable)
		if o := r.outcome(); string(o.Refused) != refusedDrain || o.Attempts != 0 || string(o.ErrorType) != errUnavailable {
			t.Errorf("%+v", o)
		}
		want("the first", first, http.StatusOK)
		want("the second", second, http.StatusOK)
	})
}

// shutDownAfter serves r.b a request whose context ends, as that of a server which must
// end, after d.
func (r *rig) shutDownAfter(d time.Duration, method string, body io.Reader) *httptest.ResponseRecorder {
	r.t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(d, func() { cancel(ErrShutdown) })
	w := httptest.NewRecorder()
	r.b.ServeHTTP(w, httptest.NewRequest(method, "/x", body).WithContext(ctx))
	return w
}

// A server that must end is no client that has left, wherever the request is.
func TestShutdown(t *testing.T) {
	for name, c := range map[string]struct {
		busy     bool
		body     string
		attempts int
	}{
		"while the application works": {attempts: 1},
		"in the queue":                {busy: true},
		"with a body":                 {body: "hello", attempts: 1},
	} {
		for _, buffering := range []Switch{On, Off} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}, SiteConfig: SiteConfig{RequestBuffering: buffering}}, fcgitest.AnswerAfter(20*time.Second, fcgitest.Page))
					if c.busy {
						answer := r.start("GET", "/slow", nil)
						defer answer()
						synctest.Wait()
					}
					w := r.shutDownAfter(time.Second, "POST", strings.NewReader(c.body))
					if w.Code != 503 || w.Header().Get("Proxy-Status") != "sluice; error="+errUnavailable || w.Header().Get("Retry-After") == "" {
						t.Errorf("%d %v", w.Code, w.Header())
					}
					if o := r.outcome(); o.Status != 503 || string(o.Refused) != refusedDrain || o.Aborted || o.Attempts != c.attempts {
						t.Errorf("%+v", o)
					}
					time.Sleep(20 * time.Second) // the worker is at work for that long
				})
			})
		}
	}
}

// An answer that has begun is cut, and the log does not say that its client left.
func TestShutdownWithinTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.Ticks(10, 300*time.Millisecond))
		defer func() {
			if cause := recover(); cause != http.ErrAbortHandler {
				t.Errorf("panic %v, want the connection to be cut", cause)
			}
			if o := r.outcome(); o.Status != 200 || !o.Aborted || string(o.ErrorType) != errUnavailable || string(o.Refused) != "" {
				t.Errorf("%+v", o)
			}
			time.Sleep(10 * time.Second)
		}()
		r.shutDownAfter(time.Second, "GET", nil)
	})
}

// CloseWhenIdle serves what comes while a request is there, and lets nothing in afterwards.
// Close need not wait for that, and both wait for the requests.
func TestCloseWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back, err := NewApplication(ApplicationConfig{Backends: []string{"unix:/nowhere/app.sock"}}, ApplicationHooks{})
		if err != nil {
			t.Fatal(err)
		}
		defer back.Close()
		stay := make(chan struct{})
		b, err := back.Handler(SiteConfig{}, SiteHooks{Identify: func(r *http.Request, _ *cgi.Client) {
			if r.URL.Path == "/stays" {
				<-stay
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		status := func(path string) int {
			w := httptest.NewRecorder()
			b.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			return w.Code
		}
		var closed atomic.Int64
		ended := func(end func() error) func() { return func() { _ = end(); closed.Add(1) } }
		for range 2 {
			go status("/stays")
		}
		synctest.Wait()
		go ended(b.CloseWhenIdle)()
		stay <- struct{}{}
		synctest.Wait()
		if code := status("/"); code != http.StatusBadGateway || closed.Load() > 0 || b.InFlight() != 1 {
			t.Errorf("%d with a request in it, %d closed, %d in flight", code, closed.Load(), b.InFlight())
		}
		go ended(b.Close)()
		synctest.Wait()
		if code := status("/"); code != http.StatusServiceUnavailable || closed.Load() > 0 {
			t.Errorf("%d after Close, %d closed", code, closed.Load())
		}
		stay <- struct{}{}
		synctest.Wait()
		if closed.Load() != 2 || b.InFlight() != 0 {
			t.Errorf("%d of 2 closed, %d in flight", closed.Load(), b.InFlight())
		}
	})
}

// Shutdown waits for the requests that are there, as long as it may, and takes no others.
func TestHandlerShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.AnswerAfter(30*time.Second, fcgitest.Page))
		waiting := r.start("GET", "/", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.b.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("%v while there is a request", err)
		}
		if re := r.get("/other"); re.status != 503 || re.header.Get("Retry-After") == "" {
			t.Errorf("%d after Shutdown", re.status)
		}
		done := make(chan error)
		go func() { done <- r.b.Shutdown(t.Context()) }()
		r.wantPage(waiting())
		if err := <-done; err != nil {
			t.Errorf("%v when the last request has ended", err)
		}
	})
}

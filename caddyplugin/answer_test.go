package caddyplugin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/sluice-proxy/sluice/bridge/pool"
)

func get() *http.Request { return httptest.NewRequest("GET", "/", nil) }

// A writer is ahead of its reader by answerBuffer at most; what was written is read.
func TestAnswerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnswer(get())
		text := strings.Repeat("0123456789abcdef", answerBuffer/4) // four times what fits
		var written error
		go func() {
			a.Header().Set("Content-Length", "131072")
			a.WriteHeader(200)
			_, written = io.WriteString(a, text)
			a.end(nil)
		}()
		res, err := a.wait()
		if err != nil || res.StatusCode != 200 || res.ContentLength != 131072 {
			t.Fatalf("%v, %v", res, err)
		}
		synctest.Wait()
		if n := len(a.body); n != answerBuffer {
			t.Errorf("%d bytes wait", n)
		}
		got, err := io.ReadAll(res.Body)
		if string(got) != text || err != nil || written != nil {
			t.Errorf("%d bytes, %v; written %v", len(got), err, written)
		}
	})
}

// The two sides have headers of their own, as with net/http.
func TestAnswerHeaderIsTheReaders(t *testing.T) {
	a := newAnswer(get())
	a.Header().Set("Content-Length", "4")
	a.Header()["Content-Type"] = nil
	a.WriteHeader(200)
	res, err := a.wait()
	if _, guess := res.Header["Content-Type"]; guess || err != nil {
		t.Errorf("%v, %v", res.Header, err)
	}
	res.Header["Content-Length"][0] = "1"
	res.Header.Set("X-Reader", "1")
	if h := a.Header(); h.Get("Content-Length") != "4" || h.Get("X-Reader") != "" {
		t.Errorf("the writer's header is %v", h)
	}
	a.Header().Set("X-Writer", "1")
	if h := res.Header; h.Get("X-Writer") != "" {
		t.Errorf("the reader's header is %v", h)
	}
}

// A reader gets what there is at once, and is told of an answer that broke off.
func TestAnswerBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnswer(get())
		more := make(chan struct{})
		go func() {
			a.WriteHeader(200)
			_, _ = io.WriteString(a, "half")
			<-more
			a.end(abortError(t.Context()))
		}()
		res, err := a.wait()
		if err != nil || res.ContentLength != -1 {
			t.Fatalf("%v, %v", res, err)
		}
		buf := make([]byte, 100)
		if n, err := res.Body.Read(buf); string(buf[:n]) != "half" || err != nil {
			t.Errorf("%q, %v", buf[:n], err)
		}
		close(more)
		if n, err := res.Body.Read(buf); n != 0 || err != io.ErrUnexpectedEOF {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// Closing the body frees a writer that waits, and ends a Read.
func TestAnswerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnswer(get())
		var written error
		go func() {
			a.WriteHeader(200)
			_, written = a.Write(make([]byte, 2*answerBuffer))
		}()
		res, err := a.wait()
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if !errors.Is(written, errAnswerClosed) {
			t.Errorf("the writer got %v", written)
		}
		if _, err := res.Body.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
			t.Errorf("%v", err)
		}
	})
}

// A header field that must not be guessed is absent, not empty.
func TestAnswerHeader(t *testing.T) {
	a := newAnswer(get())
	a.Header()["Content-Type"] = nil
	a.Header().Set("X-A", "1")
	a.WriteHeader(204)
	a.WriteHeader(500)
	res, err := a.wait()
	if err != nil || res.StatusCode != 204 || res.Status != "204 No Content" || len(res.Header) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

// What the proxy is told of a request that failed before its answer.
func TestAnswerErrors(t *testing.T) {
	gone, stop := context.WithCancel(t.Context())
	stop()
	unavailable := &pool.UnavailableError{Dials: []*pool.DialError{{Addr: "unix:/run/app.sock", Err: syscall.ENOENT}}}
	withBody := httptest.NewRequest("POST", "/", io.LimitReader(strings.NewReader("body"), 4))
	again := httptest.NewRequest("POST", "/", nil)
	again.Body = io.NopCloser(strings.NewReader("body"))
	for name, c := range map[string]struct {
		request *http.Request
		fail    func(a *answer) bool
		retry   bool
		status  int
		is      error
	}{
		"cannot connect":               {get(), func(a *answer) bool { return a.WriteError(502, unavailable) }, true, 502, syscall.ENOENT},
		"cannot connect, body in hand": {again, func(a *answer) bool { return a.WriteError(502, unavailable) }, true, 502, syscall.ENOENT},
		"cannot connect, body is read": {withBody, func(a *answer) bool { return a.WriteError(502, unavailable) }, false, 502, syscall.ENOENT},
		"no answer":                    {get(), func(a *answer) bool { return a.WriteError(504, io.ErrNoProgress) }, false, 504, io.ErrNoProgress},
		"client left":                  {get(), func(a *answer) bool { a.end(abortError(gone)); return true }, false, 0, context.Canceled},
	} {
		a := newAnswer(c.request)
		if !c.fail(a) {
			t.Errorf("%s: not taken", name)
			continue
		}
		select {
		case <-a.begun:
			if a.proxyError != nil {
				t.Errorf("%s: told before the bridge has done with the request", name)
			}
		default:
			a.end(a.proxyError) // as serve does then
		}
		_, err := a.wait()
		var dial reverseproxy.DialError
		var herr caddyhttp.HandlerError
		if errors.As(err, &dial) != c.retry || errors.As(err, &herr) != (c.status != 0) || herr.StatusCode != c.status || !errors.Is(err, c.is) {
			t.Errorf("%s: %v, retried %v, status %d", name, err, errors.As(err, &dial), herr.StatusCode)
		}
	}
}

// Refusals and what the client did wrong are answers.
func TestAnswersThatAreNoErrors(t *testing.T) {
	for _, status := range []int{301, 404, 413, 431, 503} {
		if newAnswer(get()).WriteError(status, io.EOF) {
			t.Errorf("%d is taken for an error", status)
		}
	}
}

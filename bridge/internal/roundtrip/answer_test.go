package roundtrip

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

func get() *http.Request { return httptest.NewRequest("GET", "/", nil) }

// A writer is ahead of its reader by answerBuffer at most; what was written is read.
func TestAnswerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(get())
		text := strings.Repeat("0123456789abcdef", answerBuffer/4) // four times what fits
		var written error
		go func() {
			a.Header().Set("Content-Length", "131072")
			a.WriteHeader(200)
			_, written = io.WriteString(a, text)
			a.end(nil)
		}()
		res, err := a.Wait()
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
	a := New(get())
	a.Header().Set("Content-Length", "4")
	a.Header()["Content-Type"] = nil
	a.WriteHeader(200)
	res, err := a.Wait()
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
		a := New(get())
		more := make(chan struct{})
		go func() {
			a.WriteHeader(200)
			_, _ = io.WriteString(a, "half")
			<-more
			a.end(abortError(t.Context()))
		}()
		res, err := a.Wait()
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
		a := New(get())
		var written error
		go func() {
			a.WriteHeader(200)
			_, written = a.Write(make([]byte, 2*answerBuffer))
		}()
		res, err := a.Wait()
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
	a := New(get())
	a.Header()["Content-Type"] = nil
	a.Header().Set("X-A", "1")
	a.WriteHeader(204)
	a.WriteHeader(500)
	res, err := a.Wait()
	if err != nil || res.StatusCode != 204 || res.Status != "204 No Content" || len(res.Header) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

// A failure is told when the handler has returned, which may still read the request's body.
func TestFail(t *testing.T) {
	a := New(get())
	returned := false
	a.Serve(a, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		a.Fail(io.ErrNoProgress)
		select {
		case <-a.begun:
			t.Error("told before the handler has returned")
		default:
		}
		returned = true
	}), get())
	if res, err := a.Wait(); !returned || err != io.ErrNoProgress {
		t.Errorf("%v, %v", res, err)
	}
}

// A client that has left is why there is no answer.
func TestAnswerToNobody(t *testing.T) {
	gone, stop := context.WithCancel(t.Context())
	stop()
	a := New(get())
	a.Serve(a, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), get().WithContext(gone))
	if res, err := a.Wait(); err != context.Canceled {
		t.Errorf("%v, %v", res, err)
	}
}

// As with net/http, what is written without a status has status 200.
func TestAnswerWithoutAStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(get())
		text := strings.Repeat("0123456789abcdef", answerBuffer/8)
		go a.Serve(a, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }), get())
		res, err := a.Wait()
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%v, %v", res, err)
		}
		if got, err := io.ReadAll(res.Body); string(got) != text || err != nil {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

package cgiserver_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
)

// What a handler writes, as it is sent.
func TestResponse(t *testing.T) {
	html := "Status: 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"nothing", func(http.ResponseWriter, *http.Request) {}, record(6, "Status: 200 OK\r\n\r\n")},
		{"a type that is guessed", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, record(6, html) + record(6, "<html>")},
		{"no type", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, "<html>")
		}, record(6, "Status: 200 OK\r\n\r\n") + record(6, "<html>")},
		{"interim answers are dropped", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusOK)
		}, record(6, "Status: 418 I'm a teapot\r\n\r\n")},
		{"fields of the connection", func(w http.ResponseWriter, _ *http.Request) {
			for name := range strings.FieldsSeq("Keep-Alive Transfer-Encoding Upgrade Trailer Status X-Kept Set-Cookie") {
				w.Header().Add(name, "a")
			}
			w.Header().Add("Set-Cookie", "b\r\nX-Forged: 1")
			w.WriteHeader(http.StatusFound)
		}, record(6, "Status: 302 Found\r\nSet-Cookie: a\r\nSet-Cookie: b  X-Forged: 1\r\nX-Kept: a\r\n\r\n")},
		{"no content", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Error(err)
			}
		}, record(6, "Status: 204 No Content\r\n\r\n")},
		{"more than announced", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "a/b")
			w.Header().Set("Content-Length", "3")
			_, _ = io.WriteString(w, "ab")
			if _, err := io.WriteString(w, "cd"); !errors.Is(err, http.ErrContentLength) {
				t.Error(err)
			}
			_, _ = io.WriteString(w, "c")
		}, record(6, "Status: 200 OK\r\nContent-Length: 3\r\nContent-Type: a/b\r\n\r\n") + record(6, "ab") + record(6, "c")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := connect(t, &cgiserver.Server{Handler: tt.handler})
				p.send(beginKeep, get, paramsEnd, stdinEnd)
				p.expect(tt.want, stdoutEnd, complete)
				p.silent()
			})
		})
	}
}

// The answer to HEAD has a length, and no content.
func TestHead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := connect(t, &cgiserver.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			text("hello")(w, r)
		})})
		p.send(beginKeep, record(4, "\x0e\x04REQUEST_METHODHEAD\x0b\x01REQUEST_URI/"), paramsEnd, stdinEnd)
		p.expect(record(6, "Status: 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\n"), stdoutEnd, complete)
	})
}

// A piece that is flushed is sent at once, and a long one as soon as there is enough of it.
func TestFlush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		next := make(chan struct{})
		p := connect(t, &cgiserver.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, s := range []string{"a", "b"} {
				text(s)(w, r)
				_ = http.NewResponseController(w).Flush()
				<-next
			}
			text(strings.Repeat("c", 16<<10))(w, r)
			<-next
		})})
		p.send(beginKeep, get, paramsEnd, stdinEnd)
		p.expect(record(6, head), record(6, "a"))
		p.silent()
		next <- struct{}{}
		p.expect(record(6, "b"))
		p.silent()
		next <- struct{}{}
		p.expect("\x01\x06\x00\x01\x40\x00\x00\x00" + strings.Repeat("c", 16<<10))
		p.silent()
		next <- struct{}{}
		p.expect(stdoutEnd, complete)
	})
}

// A handler can have the connection end with the answer, as with net/http.
func TestConnectionClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := connect(t, &cgiserver.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			text("x")(w, r)
		})})
		p.send(beginKeep, get, paramsEnd, stdinEnd)
		p.expect(record(6, head), record(6, "x"), stdoutEnd, complete)
		p.closed()
	})
}

// The application's standard error goes to the web server if that is wanted, with the next piece
// of the answer, and not without bounds.
func TestErrorLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			to := w.(interface{ ErrorLog() io.Writer }).ErrorLog()
			if to == nil {
				text("no")(w, r)
				return
			}
			_, _ = io.WriteString(to, "one\n")
			_ = http.NewResponseController(w).Flush()
			for range 3 {
				_, _ = io.WriteString(to, strings.Repeat("x", 16<<10))
			}
		})
		p := connect(t, &cgiserver.Server{Handler: handler})
		p.send(beginKeep, get, paramsEnd, stdinEnd)
		p.expect(record(6, head), record(6, "no"), stdoutEnd, complete)

		p = connect(t, &cgiserver.Server{Handler: handler, ForwardStderr: true})
		p.send(beginKeep, get, paramsEnd, stdinEnd)
		p.expect(record(6, "Status: 200 OK\r\n\r\n"), record(7, "one\n"))
		p.expect("\x01\x07\x00\x01\x40\x25\x00\x00"+strings.Repeat("x", 16<<10)+"[sluice: the rest is in its own log]\n", stdoutEnd, complete)
	})
}

// A request can be refused with OVERLOADED as long as there is no answer.
func TestOverload(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := connect(t, &cgiserver.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !cgiserver.Overload(wrapped{w}) {
				t.Error("it cannot be refused")
			}
		})})
		p.send(beginKeep, get, paramsEnd, stdinEnd)
		p.expect("\x01\x03\x00\x01\x00\x08\x00\x00" + "\x00\x00\x00\x00\x02\x00\x00\x00")
		p.silent()

		p = connect(t, &cgiserver.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text("x")(w, r)
			if cgiserver.Overload(w) || cgiserver.Overload(struct{ http.ResponseWriter }{w}) {
				t.Error("it was refused")
			}
		})})
		p.send(beginKeep, get, paramsEnd, stdinEnd)
		p.expect(record(6, head), record(6, "x"), stdoutEnd, complete)
	})
}

// wrapped is what a middleware makes of an http.ResponseWriter.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

package cgiserver_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/cgiserver"
)

// A request and its answer, byte for byte, on a connection that ends and on one that is kept.
func TestAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "GET" || r.URL.Path != "/a b" || r.URL.RawQuery != "c" || r.RequestURI != "/a%20b?c" || r.Body != http.NoBody || r.ContentLength != 0 {
				t.Errorf("%s %q %q, body %v of %d", r.Method, r.URL, r.RequestURI, r.Body, r.ContentLength)
			}
			text("hello")(w, r)
		})
		answer := record(6, head) + record(6, "hello") + stdoutEnd + complete
		p := connect(t, &cgiserver.Server{Handler: handler})
		p.send(begin, get, paramsEnd, stdinEnd)
		p.expect(answer)
		p.closed()

		p = connect(t, &cgiserver.Server{Handler: handler})
		for range 3 {
			p.send(beginKeep, get, paramsEnd, stdinEnd)
			p.expect(answer)
			p.silent()
		}
		p.send(begin, get, paramsEnd, stdinEnd)
		p.expect(answer)
		p.closed()
	})
}

// echo answers with what it reads: the length as announced, the body, and how it ended.
func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	text(fmt.Sprintf("%d %q %v", r.ContentLength, b, err))(w, r)
}

// The body is STDIN, as long as CONTENT_LENGTH says, or without one as long as it is.
func TestBody(t *testing.T) {
	length := func(n string) string { return record(4, "\x0e"+string([]byte{byte(len(n))})+"CONTENT_LENGTH"+n) }
	for _, tt := range []struct {
		name, in, want string
	}{
		{"announced", length("5") + paramsEnd + record(5, "ab") + record(5, "cde") + stdinEnd, `5 "abcde" <nil>`},
		{"not announced", paramsEnd + record(5, "ab") + record(5, "cde") + stdinEnd, `-1 "abcde" <nil>`},
		{"empty, not announced", paramsEnd + stdinEnd, `0 "" <nil>`},
		{"empty value", length("") + paramsEnd + stdinEnd, `0 "" <nil>`},
		{"zero", length("0") + paramsEnd + stdinEnd, `0 "" <nil>`},
		{"zero, and there is one", length("0") + paramsEnd + record(5, "x") + stdinEnd, `0 "" <nil>`},
		{"longer", length("3") + paramsEnd + record(5, "abcde") + stdinEnd, `3 "abc" <nil>`},
		{"shorter", length("9") + paramsEnd + record(5, "abcde") + stdinEnd, `9 "abcde" unexpected EOF`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := connect(t, &cgiserver.Server{Handler: http.HandlerFunc(echo)})
				p.send(beginKeep, get, tt.in)
				p.expect(record(6, head), record(6, tt.want), stdoutEnd, complete)
				p.silent()
			})
		})
	}
}

// A body that the handler does not read is dropped after the answer, however much there is.
func TestUnreadBody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &cgiserver.Server{Handler: text("early")}
		p := connect(t, s)
		p.send(beginKeep, get, paramsEnd, record(5, "some"))
		p.expect(record(6, head), record(6, "early"), stdoutEnd, complete)
		for range 2000 {
			p.send(record(5, strings.Repeat("x", 200)))
		}
		p.send(stdinEnd, beginKeep, get, paramsEnd, stdinEnd)
		p.expect(record(6, head), record(6, "early"), stdoutEnd, complete)
	})
}

// A handler that reads slowly holds up the web server: no more than the buffer is taken from it.
func TestBodyIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		read := make(chan struct{})
		p := connect(t, &cgiserver.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-read
			n, err := io.Copy(io.Discard, r.Body)
			text(fmt.Sprint(n, err))(w, r)
		})})
		p.send(beginKeep, get, paramsEnd)
		_ = p.conn.SetWriteDeadline(time.Now().Add(time.Minute))
		sent := 0
		for ; ; sent += 200 {
			if _, err := io.WriteString(p.conn, record(5, strings.Repeat("x", 200))); err != nil {
				break
			}
		}
		if sent < 64<<10 || sent > 80<<10 {
			t.Errorf("%d bytes were taken", sent)
		}
		close(read)
	})
}

// The order of answers on a shared connection is that of their ends, not of the requests.
func TestMultiplexed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		first := make(chan struct{})
		p := connect(t, &cgiserver.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-First") != "" {
				<-first
			}
			echo(w, r)
		})})
		p.send(beginKeep, of(2, beginKeep+get), get, record(4, "\x0c\x01HTTP_X_FIRST1"), paramsEnd, of(2, paramsEnd+record(5, "two")), record(5, "one"), stdinEnd)
		p.silent()
		p.send(of(2, stdinEnd))
		p.expect(of(2, record(6, head)+record(6, `-1 "two" <nil>`)+stdoutEnd+complete))
		p.silent()
		close(first)
		p.expect(record(6, head), record(6, `-1 "one" <nil>`), stdoutEnd, complete)
	})
}

// Requests that follow each other are answered by the same goroutine, whose stack has grown. Of the
// goroutines of several requests at once, one stays.
func TestGoroutineStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ids []string
		var release chan struct{}
		p := connect(t, &cgiserver.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			stack := make([]byte, 100)
			id, _, _ := strings.Cut(string(stack[:runtime.Stack(stack, false)]), " [")
			ids = append(ids, id)
			if release != nil {
				<-release
			}
			text("x")(w, r)
		})})
		request, answer := beginKeep+get+paramsEnd+stdinEnd, record(6, head)+record(6, "x")+stdoutEnd+complete
		for range 3 {
			p.send(request)
			p.expect(answer)
			synctest.Wait()
		}
		if ids[1] != ids[0] || ids[2] != ids[0] {
			t.Errorf("requests are answered by %q", ids)
		}
		release = make(chan struct{})
		for id := range byte(3) {
			p.send(of(2+id, request))
			synctest.Wait()
		}
		for id := range byte(3) {
			release <- struct{}{}
			p.expect(of(2+id, answer))
			synctest.Wait()
		}
		stacks := make([]byte, 1<<20)
		if n := strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "(*fastCGIConn).answer("); n != 1 {
			t.Errorf("%d goroutines have stayed, want 1", n)
		}
	})
}

// The connection of several requests ends with the last of them, if one of them has not asked
// for it to be kept.
func TestLastOfSeveral(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		p := connect(t, &cgiserver.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-First") != "" {
				<-release
			}
			text("x")(w, r)
		})})
		answer := record(6, head) + record(6, "x") + stdoutEnd + complete
		p.send(beginKeep, get, record(4, "\x0c\x01HTTP_X_FIRST1"), paramsEnd, stdinEnd, of(2, begin+get+paramsEnd+stdinEnd))
		p.expect(of(2, answer))
		p.silent()
		close(release)
		p.expect(answer)
		p.closed()
	})
}

func TestManagement(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &cgiserver.Server{Handler: text(""), MaxConns: 7, MaxRequests: 65}
		p := connect(t, s)
		ask := func() {
			p.send("\x01\x09\x00\x00\x00\x33\x05\x00"+"\x0e\x00FCGI_MAX_CONNS"+"\x0d\x00FCGI_MAX_REQS"+"\x01\x00X"+"\x0f\x00FCGI_MPXS_CONNS", "\x00\x00\x00\x00\x00")
		}
		ask()
		p.expect("\x01\x0a\x00\x00\x00\x34\x00\x00" + "\x0e\x01FCGI_MAX_CONNS7" + "\x0d\x02FCGI_MAX_REQS65" + "\x0f\x01FCGI_MPXS_CONNS1")
		s.SetLimits(1000, 5, 81)
		ask()
		p.expect("\x01\x0a\x00\x00\x00\x34\x00\x00" + "\x0e\x01FCGI_MAX_CONNS5" + "\x0d\x02FCGI_MAX_REQS81" + "\x0f\x01FCGI_MPXS_CONNS1")
		p.send("\x01\x0c\x00\x00\x00\x03\x00\x00abc")
		p.expect("\x01\x0b\x00\x00\x00\x08\x00\x00" + "\x0c\x00\x00\x00\x00\x00\x00\x00")
		p.silent()
	})
}

// The application says which roles it has.
func TestRoles(t *testing.T) {
	bubble(t, func(t *testing.T) {
		role := func(r, flags byte) string {
			return "\x01\x01\x00\x01\x00\x08\x00\x00" + string([]byte{0, r, flags, 0, 0, 0, 0, 0})
		}
		unknown := "\x01\x03\x00\x01\x00\x08\x00\x00" + "\x00\x00\x00\x00\x03\x00\x00\x00"
		p := connect(t, &cgiserver.Server{Handler: text("x")})
		for range 3 { // filters, authorizers, and what there is not
			p.send(role(3, 1), get, paramsEnd, stdinEnd)
			p.expect(unknown)
			p.send(role(2, 1), get, paramsEnd)
			p.expect(unknown)
		}
		p.send(role(9, 0))
		p.expect(unknown)
		p.closed()
		for text, want := range map[string]int{"role=filter": 1, "role=authorizer": 1, "role=9": 1} {
			if n := p.log.count(text); n != want {
				t.Errorf("%q is %d times in the log", text, n)
			}
		}

		p = connect(t, &cgiserver.Server{Authorizer: true, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if v := cgi.ReceivedOf(r); !v.Authorizer || r.Body != http.NoBody {
				t.Errorf("%+v, body %v", v, r.Body)
			}
			w.Header()["Variable-AUTH_METHOD"] = []string{"database"}
			w.WriteHeader(http.StatusOK)
		})})
		p.send(role(2, 1), get, paramsEnd)
		p.expect(record(6, "Status: 200 OK\r\nVariable-AUTH_METHOD: database\r\n\r\n"), stdoutEnd, complete)
	})
}

// An aborted request is ended, the context first, and its connection goes on.
func TestAbort(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ended := make(chan error, 1)
		p := connect(t, &cgiserver.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Flush") != "" {
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
			ended <- r.Context().Err()
			panic(http.ErrAbortHandler)
		})})
		bad := "Status: 400 Bad Request\r\nContent-Length: 16\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
		gateway := "Status: 502 Bad Gateway\r\nContent-Length: 16\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
		p.send(beginKeep, abort) // before the variables have come
		p.expect(record(6, bad), record(6, "400 Bad Request\n"), stdoutEnd, complete)

		p.send(beginKeep, get, paramsEnd, stdinEnd, abort) // while the handler runs
		p.expect(record(6, gateway), record(6, "502 Bad Gateway\n"), stdoutEnd, complete)
		if err := <-ended; err != context.Canceled {
			t.Error(err)
		}

		p.send(beginKeep, get, record(4, "\x0c\x01HTTP_X_FLUSH1"), paramsEnd, stdinEnd) // after the answer has begun
		p.expect(record(6, "Status: 200 OK\r\n\r\n"))
		p.send(abort)
		p.expect(stdoutEnd, complete)
		p.silent()
		p.send(abort) // of a request that is over
		p.silent()
	})
}

// A web server that closes the connection has its requests ended, and is sent nothing.
func TestWebServerLeaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		began, read := make(chan struct{}), make(chan error)
		p := connect(t, &cgiserver.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(began)
			<-r.Context().Done()
			_, err := r.Body.Read(make([]byte, 1))
			read <- err
			panic(http.ErrAbortHandler)
		})})
		p.send(beginKeep, get, record(4, "\x0e\x01CONTENT_LENGTH9"), paramsEnd, of(2, beginKeep+get))
		<-began
		_ = p.conn.Close()
		if err := <-read; err == nil || err == io.EOF {
			t.Errorf("the body ended with %v", err)
		}
		<-p.gone
	})
}

// An answer that is not complete is not ended, and its connection is closed after a record that
// is none. One of which nothing was sent is a 502.
func TestTruncated(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"panic": func(w http.ResponseWriter, r *http.Request) {
			text("half")(w, r)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"shorter than announced": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Sluice-Test", "1")
			text("half")(w, r)
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				announced := ""
				if name != "panic" {
					inner := handler
					handler = func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("Content-Length", "9")
						inner(w, r)
					}
					announced = "Content-Length: 9\r\nContent-Type: text/plain\r\nX-Sluice-Test: 1\r\n\r\n"
				} else {
					announced = "Content-Type: text/plain\r\n\r\n"
				}
				p := connect(t, &cgiserver.Server{Handler: handler})
				p.send(beginKeep, get, paramsEnd, stdinEnd)
				p.expect(record(6, "Status: 200 OK\r\n"+announced), record(6, "half"), invalid)
				p.closed()
			})
		})
	}
	bubble(t, func(t *testing.T) {
		p := connect(t, &cgiserver.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text("half")(w, r)
			panic("a mistake")
		})})
		p.send(beginKeep, get, paramsEnd, stdinEnd)
		p.expect(record(6, "Status: 502 Bad Gateway\r\nContent-Length: 16\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"), record(6, "502 Bad Gateway\n"), stdoutEnd, complete)
		p.silent()
		if n := p.log.count("a mistake"); n != 1 {
			t.Errorf("the panic is %d times in the log", n)
		}
	})
}

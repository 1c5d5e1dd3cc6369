package cgiserver_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
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
		p := connect(t, &cgiserver.Server{Handler: text(""), MaxConns: 7, MaxRequests: 65})
		p.send("\x01\x09\x00\x00\x00\x33\x05\x00"+"\x0e\x00FCGI_MAX_CONNS"+"\x0d\x00FCGI_MAX_REQS"+"\x01\x00X"+"\x0f\x00FCGI_MPXS_CONNS", "\x00\x00\x00\x00\x00")
		p.expect("\x01\x0a\x00\x00\x00\x34\x00\x00" + "\x0e\x01FCGI_MAX_CONNS7" + "\x0d\x02FCGI_MAX_REQS65" + "\x0f\x01FCGI_MPXS_CONNS1")
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

// What breaks the protocol ends the connection, and is logged.
func TestMalformed(t *testing.T) {
	for name, in := range map[string]string{
		"another version":      "\x02\x01\x00\x01\x00\x08\x00\x00",
		"HTTP":                 "GET / HTTP/1.1\r\n\r\n",
		"BEGIN of seven bytes": "\x01\x01\x00\x01\x00\x07\x00\x00\x00\x01\x00\x00\x00\x00\x00",
		"a second BEGIN":       begin + begin,
		"a pair that is cut":   begin + "\x01\x04\x00\x01\x00\x05\x00\x00" + "\x09\x09abc" + paramsEnd,
		"GET_VALUES cut":       "\x01\x09\x00\x00\x00\x03\x00\x00\x09\x09a",
		"a name four times":    "\x01\x09\x00\x00\x00\x40\x00\x00" + strings.Repeat("\x0e\x00FCGI_MAX_CONNS", 4),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := connect(t, &cgiserver.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") })})
				go func() { _, _ = io.WriteString(p.conn, in) }()
				p.closed()
				if n := p.log.count("breaks the protocol"); n != 1 {
					t.Errorf("it is %d times in the log", n)
				}
			})
		})
	}
}

// What is no request to the application is answered, and the connection goes on.
func TestRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &cgiserver.Server{MaxParams: 200, Handler: text("x")}
		p := connect(t, s)
		page := func(line, body string) string {
			return record(6, fmt.Sprintf("Status: %s\r\nContent-Length: %d\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", line, len(body))) + record(6, body) + stdoutEnd + complete
		}
		p.send(beginKeep, record(4, strings.Repeat("x", 201)))
		p.expect(page("431 Request Header Fields Too Large", "431 Request Header Fields Too Large\n"))
		p.send(record(4, strings.Repeat("x", 201)), paramsEnd, record(5, "dropped"), stdinEnd)
		p.send(beginKeep, get, record(4, "\x0e\x02CONTENT_LENGTH-1"), paramsEnd, stdinEnd)
		p.expect(page("400 Bad Request", "400 Bad Request\n"))
		p.send(beginKeep, record(4, "\x0b\x01REQUEST_URIx"), paramsEnd, stdinEnd)
		p.expect(page("400 Bad Request", "400 Bad Request\n"))
		p.send(beginKeep, get, paramsEnd, stdinEnd)
		p.expect(record(6, head), record(6, "x"), stdoutEnd, complete)
	})
}

// There are no more requests than allowed, on all connections together.
func TestMaxRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &cgiserver.Server{MaxRequests: 2, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-release
			text("x")(w, r)
		})}
		answer := record(6, head) + record(6, "x") + stdoutEnd + complete
		busy := record(6, "Status: 503 Service Unavailable\r\nContent-Length: 24\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 1\r\n\r\n") + record(6, "503 Service Unavailable\n") + stdoutEnd + complete
		one, two := connect(t, s), connect(t, s)
		one.send(beginKeep, get, paramsEnd, stdinEnd)
		two.send(of(2, beginKeep)) // which counts although it is not complete
		synctest.Wait()
		for range 2 {
			two.send(beginKeep)
			two.expect(busy)
			two.send(get, paramsEnd, stdinEnd)
		}
		close(release)
		one.expect(answer)
		one.send(beginKeep, get, paramsEnd, stdinEnd)
		one.expect(answer)
		two.send(of(2, get+paramsEnd+stdinEnd))
		two.expect(of(2, answer))
	})
}

// Every step has its time.
func TestTimeouts(t *testing.T) {
	server := func(h http.HandlerFunc) *cgiserver.Server {
		return &cgiserver.Server{HeaderTimeout: 3 * time.Second, IdleTimeout: 7 * time.Second, WriteTimeout: 11 * time.Second, Handler: h}
	}
	after := func(t *testing.T, began time.Time, want time.Duration) {
		t.Helper()
		if took := time.Since(began); took != want {
			t.Errorf("after %v, want %v", took, want)
		}
	}
	t.Run("idle", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p, began := connect(t, server(text("x"))), time.Now()
			p.closed()
			after(t, began, 7*time.Second)
		})
	})
	t.Run("idle after an answer", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := connect(t, server(text("x")))
			time.Sleep(6 * time.Second)
			p.send(beginKeep, get, paramsEnd, stdinEnd)
			p.expect(record(6, head), record(6, "x"), stdoutEnd, complete)
			began := time.Now()
			p.closed()
			after(t, began, 7*time.Second)
		})
	})
	t.Run("variables", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p, began := connect(t, server(text("x"))), time.Now()
			p.send(beginKeep, get, paramsEnd) // whether there is a body is not known
			p.closed()
			after(t, began, 3*time.Second)
		})
	})
	t.Run("a request that runs has no limit", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := connect(t, server(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Hour)
				text("x")(w, r)
			}))
			p.send(beginKeep, get, paramsEnd, stdinEnd)
			_ = p.conn.SetReadDeadline(time.Time{})
			time.Sleep(time.Hour)
			p.expect(record(6, head), record(6, "x"), stdoutEnd, complete)
		})
	})
	t.Run("write", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ended := make(chan time.Duration, 1)
			p := connect(t, server(func(w http.ResponseWriter, r *http.Request) {
				began := time.Now()
				_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
				<-r.Context().Done()
				ended <- time.Since(began)
			}))
			p.send(beginKeep, get, paramsEnd, stdinEnd)
			if took := <-ended; took != 11*time.Second {
				t.Errorf("after %v", took)
			}
		})
	})
	t.Run("deadlines of the handler", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			var took []time.Duration
			done := make(chan struct{})
			p := connect(t, server(func(w http.ResponseWriter, r *http.Request) {
				defer close(done)
				rc, began := http.NewResponseController(w), time.Now()
				note := func(err error) {
					if err == nil {
						t.Error("it did not fail")
					}
					took = append(took, time.Since(began))
				}
				_ = rc.SetReadDeadline(began.Add(time.Second))
				_, err := r.Body.Read(make([]byte, 9))
				note(err)
				_ = rc.SetReadDeadline(began.Add(time.Hour))
				time.AfterFunc(time.Second, func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) })
				_, err = r.Body.Read(make([]byte, 9))
				note(err)
				_ = rc.SetWriteDeadline(began.Add(time.Hour))
				time.AfterFunc(time.Second, func() { _ = rc.SetWriteDeadline(time.Unix(1, 0)) })
				_, err = w.Write(make([]byte, 1<<20))
				note(err)
			}))
			p.send(beginKeep, get, record(4, "\x0e\x01CONTENT_LENGTH9"), paramsEnd)
			<-done
			if fmt.Sprint(took) != "[1s 2s 3s]" {
				t.Error(took)
			}
		})
	})
}

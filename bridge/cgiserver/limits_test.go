package cgiserver_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
)

// What breaks the protocol ends the connection, and is logged.
func TestMalformed(t *testing.T) {
	for name, in := range map[string]string{
		"another version":         "\x02\x01\x00\x01\x00\x08\x00\x00",
		"HTTP":                    "GET / HTTP/1.1\r\n\r\n",
		"BEGIN of seven bytes":    "\x01\x01\x00\x01\x00\x07\x00\x00\x00\x01\x00\x00\x00\x00\x00",
		"a second BEGIN":          begin + begin,
		"a pair that is cut":      begin + "\x01\x04\x00\x01\x00\x05\x00\x00" + "\x09\x09abc" + paramsEnd,
		"GET_VALUES cut":          "\x01\x09\x00\x00\x00\x03\x00\x00\x09\x09a",
		"a body before variables": begin + get + strings.Repeat(record(5, strings.Repeat("x", 255)), 258) + paramsEnd,
		"a name four times":       "\x01\x09\x00\x00\x00\x40\x00\x00" + strings.Repeat("\x0e\x00FCGI_MAX_CONNS", 4),
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
		s.SetLimits(1000, 1, 1)
		p.send(beginKeep, get, record(4, "\x01\x80\x00\x00\xc9A"+strings.Repeat("x", 201)), paramsEnd, stdinEnd)
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
		one, two, three := connect(t, s), connect(t, s), connect(t, s)
		one.send(beginKeep, get, paramsEnd, stdinEnd)
		two.send(of(2, beginKeep)) // which counts although it is not complete
		synctest.Wait()
		for range 2 {
			two.send(beginKeep)
			two.expect(busy)
			two.send(get, paramsEnd, stdinEnd)
		}
		s.SetLimits(cgiserver.DefaultMaxParams, 1, 3)
		three.send(beginKeep, get, paramsEnd, stdinEnd)
		synctest.Wait()
		two.send(beginKeep)
		two.expect(busy)
		two.send(get, paramsEnd, stdinEnd)
		close(release)
		one.expect(answer)
		three.expect(answer)
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

package bridge

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// With request_buffering off an answer that comes before the body has been sent
// is delivered at once.
func TestEarlyAnswer(t *testing.T) {
	for name, script := range map[string]fcgitest.Script{
		"reads the rest":  fcgitest.EarlyAnswer,
		"leaves the rest": fcgitest.BodyUnread,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{SiteConfig: SiteConfig{RequestBuffering: Off}}, script)
				c := r.raw()
				started := time.Now()
				io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000000\r\n\r\nthe beginning")
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if resp.StatusCode != 200 || string(body) != fcgitest.PageBody || err != nil || time.Since(started) > 10*time.Millisecond {
					t.Errorf("%d %q, %v after %v", resp.StatusCode, body, err, time.Since(started))
				}
				c.Close() // it is listened to for a while
				synctest.Wait()
				r.wantKept(0) // the request was not sent whole
			})
		})
	}
}

// What is left of a body after an early answer must not be taken for a request:
// a front that shares its connections among clients would be sent one client's
// answer for another's.
func TestRestOfTheBodyIsNoRequest(t *testing.T) {
	for name, script := range map[string]fcgitest.Script{
		"early answer": func(s *fcgitest.Session) {
			r := s.Head()
			s.HoldFor(time.Second) // by then we wait for the client
			s.Send(fcgitest.Out(r.ID, fcgitest.Page), fcgitest.End(r.ID))
			s.Gone()
		},
		"early error": func(s *fcgitest.Session) {
			s.Head()
			s.HoldFor(time.Second)
			s.Send([]byte("this is not FastCGI"))
			s.Gone()
		},
		"local redirect": func(s *fcgitest.Session) {
			r := s.Head()
			answer := fcgitest.Page
			if r.Param("REQUEST_METHOD") == "POST" {
				answer = "Location: /elsewhere\n\n"
				s.HoldFor(time.Second)
			}
			s.Send(fcgitest.Out(r.ID, answer), fcgitest.End(r.ID))
			s.Gone()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{SiteConfig: SiteConfig{RequestBuffering: Off}}, script)
				c := r.raw()
				smuggled := "GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n"
				fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: %d\r\n\r\nthe beginning", len("the beginning")+len(smuggled))
				time.Sleep(10 * time.Second)
				_, _ = io.WriteString(c, smuggled) // the connection may be closed already
				answers, err := io.ReadAll(c)
				if n := strings.Count(string(answers), "HTTP/1.1 "); n != 1 || err != nil {
					t.Errorf("%d answers, %v: %q", n, err, answers)
				}
				if !strings.Contains(string(answers), "\r\nConnection: close\r\n") {
					t.Errorf("the client is not told: %q", answers)
				}
				for _, got := range r.peer.Requests() {
					if got.Param("REQUEST_URI") == "/smuggled" {
						t.Error("the application was sent the body's rest as a request")
					}
				}
			})
		})
	}
}

// A client that is still sending when its connection ends gets the answer, not a
// reset: what it sent is read first.
func TestAnswerIsNotResetAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{RequestBuffering: Off}}, func(s *fcgitest.Session) {
			r := s.Head()
			s.HoldFor(time.Second) // the buffer to the application fills up, then that from the client
			s.Send(fcgitest.Out(r.ID, fcgitest.Page), fcgitest.End(r.ID))
			s.Hold()
		})
		c := r.raw()
		const size = 400 << 10
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: %d\r\n\r\n", size)
		if _, err := io.WriteString(c, strings.Repeat("x", size)); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c)
		if !strings.HasSuffix(string(answer), fcgitest.PageBody) || err != nil {
			t.Errorf("%q, %v", answer, err)
		}
	})
}

// A streamed upload that was read to its end leaves the connection usable.
func TestStreamedUploadKeepsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{RequestBuffering: Off}}, fcgitest.Echo)
		c := r.raw()
		in := bufio.NewReader(c)
		for range 3 {
			io.WriteString(c, "PUT / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\n\r\nbody")
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); !strings.HasSuffix(string(body), "\nbody") || err != nil || resp.Close {
				t.Errorf("%q, %v, close %v", body, err, resp.Close)
			}
		}
		r.wantKept(1)
	})
}

// Both directions at once: each piece of the body is answered before the next is
// sent.
func TestFullDuplex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{RequestBuffering: Off}}, func(s *fcgitest.Session) {
			r := s.Head()
			s.Send(fcgitest.Out(r.ID, "Content-Type: text/plain\nX-Accel-Buffering: no\n\n"))
			for part := s.Stdin(r); part != nil; part = s.Stdin(r) {
				s.Send(fcgitest.Out(r.ID, "got "+string(part)+"\n"))
			}
			s.Send(fcgitest.End(r.ID))
		})
		c := r.raw()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 15\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer := bufio.NewReader(resp.Body)
		for _, part := range []string{"part1", "part2", "part3"} {
			io.WriteString(c, part)
			line, err := answer.ReadString('\n')
			if line != "got "+part+"\n" || err != nil {
				t.Fatalf("%q, %v after %s", line, err, part)
			}
			time.Sleep(time.Second)
		}
		if _, err := answer.ReadByte(); err != io.EOF {
			t.Errorf("at the end: %v, want io.EOF", err)
		}
	})
}

// An application that writes before it reads must not lock up with us, however
// large body and answer are and wherever the body is held.
func TestBothSidesWriteAtOnce(t *testing.T) {
	const size = 3 << 20
	page := fcgitest.Bytes(size)
	script := func(s *fcgitest.Session) {
		r := s.Head()
		s.Send(fcgitest.Out(r.ID, "Content-Type: text/plain\n\n"))
		for range size / 1024 {
			s.Send(fcgitest.Out(r.ID, strings.Repeat("y", 1024)))
		}
		for s.Stdin(r) != nil {
		}
		s.Send(fcgitest.End(r.ID))
		page(s)
	}
	for name, cfg := range map[string]Config{
		"body in a file":   {},
		"body in memory":   {ApplicationConfig: ApplicationConfig{Spool: SpoolConfig{Buffer: 2 * size}}},
		"body is streamed": {SiteConfig: SiteConfig{RequestBuffering: Off}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, cfg, script)
				re := r.post("/", strings.Repeat("x", size))
				if re.err != nil || re.status != 200 || len(re.body) != size || re.after > time.Second {
					t.Errorf("%d, %d bytes, %v after %v", re.status, len(re.body), re.err, re.after)
				}
			})
		})
	}
}

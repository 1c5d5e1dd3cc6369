package bridge

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// An answer may come when the whole body was read and its last piece is still being written
// to the application. The client's connection stays good for the next request.
func TestKeptConnectionAfterStreamedUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{RequestBuffering: Off}}, func(s *fcgitest.Session) {
			q := s.Head()
			s.HoldFor(time.Second) // by then the buffer towards us is full
			s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
			s.Hold()
		}, fcgitest.Hello)
		c := r.raw()
		in := bufio.NewReader(c)
		// All but a part of the last piece fits into the buffer, which has 208 KiB.
		for _, pieces := range []int{7, 1} {
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: %d\r\n\r\n", pieces*sendChunk)
			for range pieces {
				synctest.Wait()
				_, _ = io.WriteString(c, strings.Repeat("x", sendChunk)) // the answer says whether it came
			}
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatalf("after %d pieces: %v; outcome %+v", pieces, err, r.outcome())
			}
			if body, err := io.ReadAll(resp.Body); string(body) != fcgitest.PageBody || err != nil || resp.Close {
				t.Fatalf("%d pieces: %d %q, %v, close %v", pieces, resp.StatusCode, body, err, resp.Close)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
}

// After a read that failed, the connection's later requests would be those of a client that
// has left: there are none, even if the rest of the body comes after all.
func TestLateBodyEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{Client: Duration(9 * time.Second)}}}, fcgitest.Hello)
		c := r.raw()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\n12345")
		time.Sleep(9*time.Second - time.Nanosecond)
		synctest.Wait()
		time.AfterFunc(discardPause/2, func() { _, _ = io.WriteString(c, "67890") })
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != http.StatusRequestTimeout || !resp.Close {
			t.Errorf("%+v, %v, want 408 and the end of the connection", resp, err)
		}
	})
}

// serveLimited serves r.b with a server that has limits of its own, and returns a connection.
func (r *rig) serveLimited(read, write time.Duration) net.Conn {
	r.t.Helper()
	return r.serveBy(&http.Server{Handler: r.b, ReadTimeout: read, WriteTimeout: write})
}

// serveBy has s serve, and returns a connection.
func (r *rig) serveBy(s *http.Server) net.Conn {
	r.t.Helper()
	l := fcgitest.Listen(8)
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(l) }) // ends with http.ErrServerClosed
	c, err := l.Dial(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = c.Close()
		_ = s.Close()
		served.Wait()
	})
	return c
}

// A body that comes in pieces is given its time anew for each, but not more in all than the
// server gives.
func TestReadTimeoutOfTheServer(t *testing.T) {
	for name, buffering := range map[string]Switch{"spooled": On, "streamed": Off} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{SiteConfig: SiteConfig{RequestBuffering: buffering}}, fcgitest.Echo)
				c := r.serveLimited(10*time.Second, 0)
				begun := time.Now()
				io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100\r\n\r\n")
				go func() {
					for {
						if _, err := io.WriteString(c, "x"); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
				}()
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil || resp.StatusCode != http.StatusRequestTimeout || time.Since(begun) != 10*time.Second {
					t.Errorf("%+v, %v after %v, want 408 after 10s", resp, err, time.Since(begun))
				}
				c.Close()
			})
		})
	}
}

// A client that stays within the server's time for the request gets an answer that takes
// longer than that: the time is for reading.
func TestReadTimeoutIsNotForTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.AnswerAfter(20*time.Second, fcgitest.Page))
		c := r.serveLimited(10*time.Second, 0)
		in := bufio.NewReader(c)
		for range 2 {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello")
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); string(body) != fcgitest.PageBody || err != nil {
				t.Errorf("%q, %v", body, err)
			}
		}
	})
}

// The same for an answer: the server's limit is for all of it, and is the limit of what
// net/http sends after the bridge.
func TestWriteTimeoutOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.Bytes(8<<20))
		c := r.serveLimited(0, 10*time.Second)
		begun := time.Now()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
		buf := make([]byte, 4<<10)
		n, err := 0, error(nil)
		for err == nil {
			n, err = c.Read(buf)
			time.Sleep(time.Second)
		}
		o := r.outcome()
		if !o.Aborted || n > 0 || time.Since(begun) < 10*time.Second {
			t.Errorf("%+v after %v, want it to be cut", o, time.Since(begun))
		}
		if o.Total != 10*time.Second {
			t.Errorf("it was cut after %v, want 10s", o.Total)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.Bytes(4<<10))
		c := r.serveLimited(0, 10*time.Second)
		in := bufio.NewReader(c)
		for range 3 { // each has its own time
			time.Sleep(6 * time.Second)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Error(err)
			}
		}
	})
}

// An interim answer does not put the server's limit away.
func TestWriteTimeoutAfterEarlyHints(t *testing.T) {
	for name, hints := range map[string]string{"without": "", "with hints": "Status: 103\nLink: </a.css>\n\n"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{}, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
					if hints != "" {
						s.Send(fcgitest.Out(q.ID, hints))
					}
					s.HoldFor(11 * time.Second)
					s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
				}))
				c := r.serveLimited(0, 10*time.Second)
				io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
				if got, _ := io.ReadAll(c); strings.Contains(string(got), fcgitest.PageBody) {
					t.Errorf("%q, one second after WriteTimeout was over", got)
				}
			})
		})
	}
}

//go:build linux

package halfclose

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds what must happen soon.
const patience = 30 * time.Second

// rig is a server whose requests for /wait last until the test lets them go, or until the
// server says that the client has left.
type rig struct {
	t       *testing.T
	ln      net.Listener
	entered chan struct{}
	release chan struct{}
	left    chan struct{}
	permits atomic.Int64 // that are out
	permit  atomic.Bool
}

func newRig(t *testing.T, network string) *rig {
	t.Helper()
	r := &rig{t: t, entered: make(chan struct{}, 10), release: make(chan struct{}), left: make(chan struct{}, 10)}
	r.permit.Store(true)
	anywhere := network == "another machine"
	if anywhere {
		network = "tcp"
	}
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	r.ln = Config{
		Permit: func(net.Conn) bool {
			r.permits.Add(1)
			ok := r.permit.Load()
			if !ok {
				r.permits.Add(-1)
			}
			return ok
		},
		Done:      func(net.Conn) { r.permits.Add(-1) },
		allRemote: anywhere,
	}.Listener(ln)
	s := &http.Server{Handler: http.HandlerFunc(r.serve), ConnState: Track}
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(r.ln) }) // ends with http.ErrServerClosed
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		served.Wait()
		if n := r.permits.Load(); n != 0 {
			t.Errorf("%d permits are out", n)
		}
	})
	return r
}

func (r *rig) serve(w http.ResponseWriter, q *http.Request) {
	_, err := io.Copy(io.Discard, q.Body)
	r.entered <- struct{}{}
	if err != nil {
		r.left <- struct{}{}
		return
	}
	select {
	case <-r.release:
		_, _ = io.WriteString(w, "answer") // the client says whether it came
	case <-q.Context().Done():
		r.left <- struct{}{}
	}
}

// closer is a connection of which one side can be closed.
type closer interface {
	net.Conn
	CloseWrite() error
}

func (r *rig) dial(request string) closer {
	r.t.Helper()
	c, err := net.Dial(r.ln.Addr().Network(), r.ln.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() }) // most tests have closed it
	if _, err := io.WriteString(c, request); err != nil {
		r.t.Fatal(err)
	}
	return c.(closer)
}

func (r *rig) within(what string, c <-chan struct{}) {
	r.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		r.t.Fatalf("%s: nothing in %v", what, patience)
	}
}

func (r *rig) wantAnswer(c closer, n int) {
	r.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	text, err := io.ReadAll(c)
	if got := strings.Count(string(text), "\r\n\r\nanswer"); got != n || err != nil {
		r.t.Errorf("%d answers, %v: %q", got, err, text)
	}
}

const (
	get  = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"
	post = "POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
)

// Who closes its sending side and waits is answered, whenever it did so.
func TestHalfClosed(t *testing.T) {
	for name, request := range map[string]string{
		"GET": get, "POST": post, "HTTP/1.0": "GET /wait HTTP/1.0\r\n\r\n",
		"chunked": "POST /wait HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	} {
		for _, network := range []string{"tcp", "unix"} {
			for _, when := range []string{"with the request", "later"} {
				t.Run(name+" "+network+" "+when, func(t *testing.T) {
					r := newRig(t, network)
					c := r.dial(request)
					if when == "later" {
						r.within("the request", r.entered)
					}
					if err := c.CloseWrite(); err != nil {
						t.Fatal(err)
					}
					if when != "later" {
						r.within("the request", r.entered)
					}
					select {
					case <-r.left:
						t.Fatal("it was taken for one that has left")
					case <-time.After(10 * firstCheck): // which is after two looks
					}
					close(r.release)
					r.wantAnswer(c, 1)
				})
			}
		}
	}
}

// Two requests, and then the end: both are answered.
func TestPipelined(t *testing.T) {
	r := newRig(t, "tcp")
	c := r.dial(get + post)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	close(r.release)
	r.wantAnswer(c, 2)
}

// A request that is not whole stays that, be only one byte missing.
func TestCutRequest(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		r := newRig(t, network)
		c := r.dial(post[:len(post)-1])
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r.within("the end of the body", r.left)
	}
}

// Who closes the connection has left, at once or after having closed its sending side.
func TestLeft(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for name, leave := range map[string]func(closer) error{
			"closes": closer.Close,
			"resets": func(c closer) error {
				if tcp, ok := c.(*net.TCPConn); ok {
					_ = tcp.SetLinger(0)
				}
				return c.Close()
			},
			"half closes first": func(c closer) error {
				if err := c.CloseWrite(); err != nil {
					return err
				}
				time.Sleep(2 * firstCheck)
				return c.Close()
			},
		} {
			t.Run(network+" "+name, func(t *testing.T) {
				r := newRig(t, network)
				c := r.dial(get)
				r.within("the request", r.entered)
				begun := time.Now()
				if err := leave(c); err != nil {
					t.Fatal(err)
				}
				r.within("its end", r.left)
				t.Logf("noticed after %v", time.Since(begun))
			})
		}
	}
}

// Nothing is known of clients of other machines. Their end counts if it comes with the
// request, and they have left if it comes later.
func TestWindow(t *testing.T) {
	r := newRig(t, "another machine")
	soon, late := r.dial(get), r.dial(get)
	r.within("a request", r.entered)
	r.within("the other request", r.entered)
	if err := soon.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * Window)
	if err := late.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r.within("the end of the late one", r.left)
	close(r.release)
	if n := r.permits.Load(); n == 1 { // else the machine was too busy for the window
		r.wantAnswer(soon, 1)
	}
}

// One that has closed the connection with the request is found to have left when its kernel
// has forgotten the connection. Here that takes a second, and not a minute.
func TestForgotten(t *testing.T) {
	r := newRig(t, "another machine")
	c := r.dial(get)
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_LINGER2, 1) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	begun := time.Now()
	r.within("its end", r.left)
	t.Logf("noticed after %v", time.Since(begun))
}

// Without a permit it is as without this package.
func TestPermit(t *testing.T) {
	r := newRig(t, "unix")
	r.permit.Store(false)
	c := r.dial(get)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r.within("its end", r.left)
}

// The server closes a connection whose end is hidden.
func TestCloseEndsIt(t *testing.T) {
	r := newRig(t, "tcp")
	c := r.dial(get)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r.within("the request", r.entered)
	close(r.release)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(resp.Body); string(text) != "answer" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF || os.IsTimeout(err) {
		t.Errorf("the connection is open: %v", err)
	}
}

//go:build linux

package front_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// leavesEarly is an application whose answers to requests below /held begin when their client has left,
// and so soon that the client is not watched yet.
type leavesEarly struct {
	*rig
	arrived, left chan struct{}
}

func newLeavesEarly(t *testing.T, answer http.HandlerFunc) *leavesEarly {
	e := &leavesEarly{arrived: make(chan struct{}), left: make(chan struct{})}
	e.rig = newHoldRig(t, func(w http.ResponseWriter, req *http.Request) {
		e.arrived <- struct{}{}
		<-e.left
		answer(w, req)
	}, func(c *bridge.Config) { c.KeepAlive = "on" })
	get(t, dial(t, e.loop), "/echo") // what comes first takes longer
	return e
}

// ask sends a request, and has leave called while the application has it.
func (e *leavesEarly) ask(t *testing.T, c net.Conn, target string, leave func(c net.Conn)) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target); err != nil {
		t.Fatal(err)
	}
	<-e.arrived
	leave(c)
	time.Sleep(5 * time.Millisecond) // the loop has noticed
	e.left <- struct{}{}
}

func closes(c net.Conn) { _ = c.Close() }

func resets(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

// A client that has left before the application says that it is to be held is not held.
func TestHeldClientHasLeft(t *testing.T) {
	e := newLeavesEarly(t, says)
	n := int64(0)
	for _, mode := range []string{"response", "stream"} {
		for _, leave := range []func(net.Conn){closes, resets} {
			e.ask(t, dial(t, e.loop), "/held?Grip-Hold="+mode+"&Grip-Channel=gone&b=hello.", leave)
			n++
			eventually(t, fmt.Sprintf("client %d is held no more", n), func() error {
				if s := e.handler.Snapshot(); s.Hold.Clients != 0 || e.handler.InFlight() != 0 {
					return fmt.Errorf("%d are held, %d requests", s.Hold.Clients, e.handler.InFlight())
				}
				return nil
			})
		}
	}
}

// A client that has left before its answer begins is not sent a stream: nobody waits for the application.
func TestRelayClientHasLeft(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	e := newLeavesEarly(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		<-end
	})
	e.ask(t, dial(t, e.loop), "/held", closes)
	eventually(t, "the request is abandoned", func() error {
		if s := e.handler.Snapshot(); s.Abandoned != 1 || e.handler.InFlight() != 0 {
			return fmt.Errorf("%d are, %d requests", s.Abandoned, e.handler.InFlight())
		}
		return nil
	})
}

// A server that is closed does not wait for answers that begin meanwhile, and never end, or that nobody
// takes.
func TestCloseBeforeAnswers(t *testing.T) {
	const size = 60_000
	end := make(chan struct{})
	defer close(end)
	answers := map[string]http.HandlerFunc{
		"stream": func(w http.ResponseWriter, _ *http.Request) {
			for {
				_, _ = io.WriteString(w, "more")
				w.(http.Flusher).Flush()
				select {
				case <-end:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		},
		"held": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Grip-Hold", "stream")
			w.Header().Set("Grip-Channel", "a")
		},
		"not taken": func(w http.ResponseWriter, _ *http.Request) { writePattern(w, size) },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			e := newLeavesEarly(t, answer)
			c := net.Conn(dial(t, e.loop))
			if name == "not taken" {
				room := e.fill(t, e.dialUnix(t), 100, size)
				if c = e.dialUnix(t); e.fill(t, c, room, size) != room {
					t.Fatal("two sockets do not hold the same")
				}
			}
			closed := make(chan struct{})
			e.ask(t, c, "/held", func(net.Conn) {
				go func() {
					defer close(closed)
					_ = e.loops.Close()
				}()
			})
			select {
			case <-closed:
			case <-time.After(5 * time.Second):
				t.Fatal("the server is not closed after 5 s")
			}
		})
	}
}

// fill asks for up to so many answers of a size, and takes nothing of them. It returns for how many the socket
// has room; if that is fewer, the client leaves.
func (r *rig) fill(t *testing.T, c net.Conn, most, size int) int {
	for n := range most {
		before := len(r.outcomesOf(http.StatusOK))
		fmt.Fprintf(c, "GET /bytes?length=1&n=%d HTTP/1.1\r\nHost: a\r\n\r\n", size)
		for end := time.Now().Add(500 * time.Millisecond); len(r.outcomesOf(http.StatusOK)) == before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				_ = c.Close()
				r.wantIdle(t)
				return n
			}
		}
	}
	return most
}

package bridge

import (
	"bytes"
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

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// connection says on what connection a request meets a fault.
type connection string

const (
	fresh  connection = "fresh"  // made for it
	kept   connection = "kept"   // another request was answered on it
	shared connection = "shared" // another request is being answered on it
)

// TestFaultsAnywhere breaks a connection at every byte of a request and of its
// answer. The client gets its own answer, whole, or an error; what cannot be sent
// again is executed once at most, and nothing is held afterwards.
func TestFaultsAnywhere(t *testing.T) {
	for _, tc := range []struct {
		fault    fcgitest.Fault
		harmless bool
	}{
		{fcgitest.Fault{Kind: fcgitest.Cut}, false},
		{fcgitest.Fault{Kind: fcgitest.Reset}, false},
		{fcgitest.Fault{Kind: fcgitest.Stall}, false},
		{fcgitest.Fault{Kind: fcgitest.Stall, For: 20 * time.Millisecond}, true},
		{fcgitest.Fault{Kind: fcgitest.Split, For: time.Millisecond}, true},
	} {
		everywhere(t, fmt.Sprintf("%v for %v", tc.fault.Kind, tc.fault.For), orderly, func(l *faultLab) {
			l.everyByte(tc.fault, func(f fcgitest.Fault, re, neighbour reply) {
				l.wantOwn("/1", re, tc.harmless || l.recovers(f))
				if l.conn == shared {
					l.wantOwn("/2", neighbour, tc.harmless)
				}
				l.wantRuns(tc.harmless)
			})
		})
	}
}

// TestFlippedBits flips bits of every byte. FastCGI has no checksums: a bit of
// output, of a parameter or of a body is not missed, nor is a number of a shared
// connection's request that becomes that of another, nor a length that makes the
// header of the next record a part of the content. What is required is what can be:
// the answer that a client gets is the one to its own request, it is as long as the
// application says, and where none of those bits is flipped it is right to the last
// byte.
func TestFlippedBits(t *testing.T) {
	for _, mask := range []byte{0x01, 0x80, 0xff} {
		fault := fcgitest.Fault{Kind: fcgitest.Corrupt, Mask: mask}
		everywhere(t, fmt.Sprintf("corrupt %#x", mask), tolerant, func(l *faultLab) {
			layout := l.layout()
			l.everyByte(fault, func(f fcgitest.Fault, re, neighbour reply) {
				if f.Direction == fcgitest.ToApp {
					return // whatever the application made of it; it ended, and nothing is held
				}
				if layout[f.At] != outputByte {
					l.wantOwn("/1", re, false)
				}
				if l.conn == shared && layout[f.At] == otherByte {
					l.wantOwn("/2", neighbour, false)
				}
			})
		})
	}
}

// everywhere runs test for a request of each kind on a connection of each kind.
func everywhere(t *testing.T, name string, serve func(*faultLab, *fcgitest.Session), test func(*faultLab)) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, conn := range []connection{fresh, kept, shared} {
			t.Run(fmt.Sprintf("%s/%s/%s", name, method, conn), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { test(newFaultLab(t, method, conn, serve)) })
			})
		}
	}
}

// faultLab makes the same request over and over, each time with another fault.
type faultLab struct {
	t      *testing.T
	rig    *rig
	peer   *fcgitest.Peer
	method string
	conn   connection

	mu    sync.Mutex
	fault fcgitest.Fault
	wire  *wiretap // the connection with the fault
	runs  map[string]int
}

func newFaultLab(t *testing.T, method string, conn connection, serve func(*faultLab, *fcgitest.Session)) *faultLab {
	l := &faultLab{t: t, method: method, conn: conn}
	l.peer = fcgitest.Start(t, func(s *fcgitest.Session) { serve(l, s) })
	cfg := Config{
		Workers: 4, Multiplex: Off, dial: l.dial,
		Timeouts: TimeoutsConfig{
			FirstByte: Duration(2 * time.Second), BetweenBytes: Duration(2 * time.Second),
			Send: Duration(2 * time.Second), Abandoned: Duration(time.Second),
		},
	}
	if conn == shared {
		cfg.Multiplex = On
	}
	l.rig = startRig(t, cfg)
	return l
}

func (l *faultLab) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wire != nil {
		return l.peer.Dial(ctx)
	}
	c, err := l.fault.Dial(l.peer.Dial)(ctx)
	if err != nil {
		return nil, err
	}
	l.wire = &wiretap{Conn: c}
	return l.wire, nil
}

// wiretap keeps what passes.
type wiretap struct {
	net.Conn
	mu       sync.Mutex
	from, to bytes.Buffer
}

func (w *wiretap) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.from.Write(p[:n])
	return n, err
}

func (w *wiretap) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to.Write(p[:n])
	return n, err
}

// passed returns how many bytes have passed in a direction.
func (w *wiretap) passed(d fcgitest.FaultDirection) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d == fcgitest.ToApp {
		return w.to.Len()
	}
	return w.from.Len()
}

// everyByte makes the request with the fault at each byte of it, and of its answer.
func (l *faultLab) everyByte(f fcgitest.Fault, check func(f fcgitest.Fault, re, neighbour reply)) {
	for _, f.Direction = range []fcgitest.FaultDirection{fcgitest.ToApp, fcgitest.FromApp} {
		begin := l.begin(fcgitest.Fault{})
		l.finish()
		end := l.wire.passed(f.Direction)
		for f.At = begin[f.Direction]; f.At < end; f.At++ {
			l.begin(f)
			check(f, l.re, l.neighbour)
			if l.t.Failed() {
				l.t.Fatalf("%s, the request and its answer being bytes %d to %d", f, begin[f.Direction], end-1)
			}
		}
	}
}

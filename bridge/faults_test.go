package bridge

import (
	"bytes"
	"context"
	"encoding/binary"
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
			l.everyByte(tc.fault, func(f fcgitest.Fault, re, other reply) {
				l.wantOwn("/1", re, tc.harmless || l.recovers(f))
				if l.conn == shared {
					l.wantOwn("/2", other, tc.harmless)
				}
				l.wantRuns(tc.harmless)
			})
		})
	}
}

// TestFlippedBits flips bits of every byte. FastCGI has no checksums, so a bit of a
// parameter, of a body or of output is not missed, nor one of how much output a
// record has: the header of the next is output, then. Any other bit, of a header,
// of END_REQUEST or of padding, must not lead to anything but the right answer,
// whole, or an error; where the answer has a length, because a record of STDOUT may
// have become one of STDERR. Whatever is flipped, nobody gets the answer to another
// request.
func TestFlippedBits(t *testing.T) {
	for _, mask := range []byte{0x01, 0x80, 0xff} {
		everywhere(t, fmt.Sprintf("mask %#x", mask), tolerant, func(l *faultLab) {
			if mask != 0xff {
				l.skip[fcgitest.ToApp] = l.payload[fcgitest.ToApp] // of these one is like the other
			}
			l.everyByte(fcgitest.Fault{Kind: fcgitest.Corrupt, Mask: mask}, func(f fcgitest.Fault, re, other reply) {
				if l.payload[f.Direction][f.At] {
					l.wantNoneOf("/2", re)
					l.wantNoneOf("/1", other)
					return
				}
				l.wantOwn("/1", re, false)
				if l.conn == shared {
					l.wantOwn("/2", other, false)
				}
			})
		})
	}
}

// connection says on what connection a request meets a fault.
type connection string

const (
	fresh  connection = "fresh"  // made for it
	kept   connection = "kept"   // /0 was answered on it
	shared connection = "shared" // /2 is being answered on it
)

// everywhere runs test for a request of each kind on a connection of each kind.
func everywhere(t *testing.T, name string, serve func(*faultLab, *fcgitest.Session), test func(*faultLab)) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, conn := range []connection{fresh, kept, shared} {
			t.Run(fmt.Sprintf("%s/%s/%s", name, method, conn), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { test(newFaultLab(t, method, conn, serve)) })
			})
		}
	}
}

// faultLab makes the same request, /1, over and over, each time with another fault
// in its connection.
type faultLab struct {
	t      *testing.T
	rig    *rig
	peer   *fcgitest.Peer
	method string
	conn   connection

	// Of a connection without a fault, for each direction.
	begin, end [2]int    // the bytes that there are from the request on
	payload    [2][]bool // which bytes are, or say how much is, a parameter, a body or output

	skip [2][]bool // bytes that need not be tried; may be empty

	mu    sync.Mutex
	fault fcgitest.Fault
	wire  *wiretap // the connection with the fault
	runs  map[string]int
}

func newFaultLab(t *testing.T, method string, conn connection, serve func(*faultLab, *fcgitest.Session)) *faultLab {
	l := &faultLab{t: t, method: method, conn: conn}
	l.peer = fcgitest.Start(t, func(s *fcgitest.Session) { serve(l, s) })
	soon := Duration(2 * time.Second)
	cfg := Config{
		ApplicationConfig: ApplicationConfig{Workers: 4, Multiplex: Off, Timeouts: ConnectionTimeouts{Send: soon}},
		SiteConfig: SiteConfig{
			Timeouts: TimeoutsConfig{FirstByte: soon, BetweenBytes: soon, Abandoned: soon},
		},
		ApplicationHooks: ApplicationHooks{dial: l.dial},
	}
	if conn == shared {
		cfg.Multiplex = On
	}
	l.rig = startRig(t, cfg)
	l.survey()
	return l
}

// survey makes the request without a fault.
func (l *faultLab) survey() {
	l.renew(fcgitest.Fault{})
	other := l.prepare()
	if l.conn != fresh {
		l.begin = [2]int{len(l.wire.passed(fcgitest.FromApp)), len(l.wire.passed(fcgitest.ToApp))}
	}
	l.wantOwn("/1", l.request("/1"), true)
	other()
	for _, d := range []fcgitest.FaultDirection{fcgitest.FromApp, fcgitest.ToApp} {
		l.payload[d] = payload(l.wire.passed(d))
		l.end[d] = len(l.payload[d])
	}
}

// payload reports of each byte of records whether it is of a parameter, a body or
// output, or of its length.
func payload(b []byte) (is []bool) {
	for len(b) > 0 {
		content, padding := int(binary.BigEndian.Uint16(b[4:])), int(b[6])
		carries := b[1] == fcgitest.Params || b[1] == fcgitest.Stdin || b[1] == fcgitest.Stdout
		for i := range fcgi.HeaderLen + content + padding {
			is = append(is, carries && (i == 4 || i == 5 || i >= fcgi.HeaderLen && i < fcgi.HeaderLen+content))
		}
		b = b[fcgi.HeaderLen+content+padding:]
	}
	return is
}

// everyByte makes the request with the fault at each byte.
func (l *faultLab) everyByte(f fcgitest.Fault, check func(f fcgitest.Fault, re, other reply)) {
	for _, f.Direction = range []fcgitest.FaultDirection{fcgitest.FromApp, fcgitest.ToApp} {
		for f.At = l.begin[f.Direction]; f.At < l.end[f.Direction]; f.At++ {
			if skip := l.skip[f.Direction]; skip != nil && skip[f.At] {
				continue
			}
			l.renew(f)
			other := l.prepare()
			re := l.request("/1")
			check(f, re, other())
			time.Sleep(3 * time.Second) // what was abandoned is given up
			l.rig.wantNothingHeld()
			if l.t.Failed() {
				l.t.Fatalf("%s, the bytes being %d to %d", f, l.begin[f.Direction], l.end[f.Direction]-1)
			}
		}
	}
}

// renew begins with a new handler, so that nothing is known of the application, and gives
// the next connection a fault.
func (l *faultLab) renew(f fcgitest.Fault) {
	l.rig.renew()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.wire, l.runs = f, nil, make(map[string]int)
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

// prepare makes the other request on the connection, if there is one.
func (l *faultLab) prepare() (wait func() reply) {
	switch l.conn {
	case kept:
		l.wantOwn("/0", l.request("/0"), true)
	case shared:
		done := make(chan reply, 1)
		go func() { done <- l.request("/2") }()
		synctest.Wait()
		return func() reply { return <-done }
	}
	return func() reply { return reply{} }
}

// request makes a request, as small as can be: every byte of it counts.
func (l *faultLab) request(uri string) reply {
	req, err := http.NewRequest(l.method, "http://a"+uri, l.body(uri))
	if err != nil {
		l.t.Error(err)
		return reply{err: err}
	}
	req.Header.Set("User-Agent", "")
	return l.rig.send(req)
}

func (l *faultLab) body(uri string) io.Reader {
	if l.method != http.MethodPost {
		return nil
	}
	return strings.NewReader("body of " + uri)
}

// recovers reports whether the request must be answered although the connection
// breaks: the application was sent nothing but BEGIN_REQUEST; or it was sent a
// request that may be sent again, on a kept connection that ended without a byte.
func (l *faultLab) recovers(f fcgitest.Fault) bool {
	at := f.At - l.begin[f.Direction]
	switch {
	case f.Kind != fcgitest.Cut && f.Kind != fcgitest.Reset, l.conn == shared:
		return false
	case f.Direction == fcgitest.ToApp && at <= fcgi.HeaderLen+8:
		return true
	}
	return l.conn == kept && l.method == http.MethodGet && (f.Direction == fcgitest.ToApp || at == 0)
}

// wantOwn checks that a client got the answer to its own request, whole, or, unless
// it must be answered, an error.
func (l *faultLab) wantOwn(uri string, re reply, must bool) {
	l.t.Helper()
	failed := re.err != nil || re.status == http.StatusBadGateway || re.status == http.StatusGatewayTimeout || re.status == http.StatusServiceUnavailable
	right := re.status == http.StatusOK && re.err == nil && re.body == l.page(uri) && re.header.Get("X-Uri") == uri
	if !right && (must || !failed) {
		l.t.Errorf("%s: %d %q %v, want %q", uri, re.status, re.body, re.err, l.page(uri))
	}
}

// wantNoneOf checks that a client did not get the answer to another request.
func (l *faultLab) wantNoneOf(uri string, re reply) {
	l.t.Helper()
	if re.status == http.StatusOK && re.err == nil && (re.header.Get("X-Uri") == uri || strings.Contains(re.body, l.page(uri))) {
		l.t.Errorf("got the answer to %s: %q", uri, re.body)
	}
}

// wantRuns checks how often each request was executed.
func (l *faultLab) wantRuns(once bool) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for uri, n := range l.runs {
		if n > 1 && (once || l.method == http.MethodPost || n > 2) {
			l.t.Errorf("%s %s was executed %d times", l.method, uri, n)
		}
	}
}

// wiretap keeps what passes a connection.
type wiretap struct {
	net.Conn
	mu       sync.Mutex
	from, to []byte
}

func (w *wiretap) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.from = append(w.from, p[:n]...)
	return n, err
}

func (w *wiretap) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = append(w.to, p[:n]...)
	return n, err
}

// passed returns what has passed in a direction.
func (w *wiretap) passed(d fcgitest.FaultDirection) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d == fcgitest.ToApp {
		return bytes.Clone(w.to)
	}
	return bytes.Clone(w.from)
}

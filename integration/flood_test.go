//go:build linux

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/spool"
)

// Floods: one client takes all that it can of something - the spool's room, the file
// system, descriptors, the readers of the log - and another one, at another address, must
// not notice.

const (
	floodFrom = "127.0.0.1"
	goodFrom  = "127.0.0.2"
)

// clientAt is a client of the gate with another address of this machine. It keeps no
// connections, unless keep.
func clientAt(t testing.TB, addr, url string, keep bool) site {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableCompression: true, DisableKeepAlives: !keep}
	t.Cleanup(transport.CloseIdleConnections)
	return site{url: url, client: &http.Client{Transport: transport, Timeout: patience}}
}

// connect opens a connection to the gate from an address, with a small receive buffer,
// until the test ends.
func connect(t testing.TB, addr, url string) *net.TCPConn {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}, Timeout: patience}
	c, err := dialer.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	tcp := c.(*net.TCPConn)
	if err := tcp.SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	return tcp
}

// send writes to a connection. That it is closed by now is no failure.
func send(c net.Conn, format string, args ...any) { fmt.Fprintf(c, format, args...) }

// wantServed makes a round of requests, and fails unless each is answered as it would be
// without a flood, and soon.
func wantServed(t testing.TB, s site, uploads ...int) {
	t.Helper()
	const soon = 5 * time.Second // a page takes a millisecond; others run tests on this machine
	begun := time.Now()
	if got := s.get(t, "/hello"); got != "hello\n" {
		t.Errorf("got %q", head(got))
	}
	for _, n := range uploads {
		data := random(n)
		wantBody(t, s.post(t, "/body", data), data)
	}
	if d := time.Since(begun); d > soon {
		t.Errorf("a page and uploads of %d bytes took %v", uploads, d)
	}
}

// state is what /status.json of the program shows.
type state struct {
	InFlight int64 `json:"in_flight"`
	Gate     struct {
		InUse   int `json:"in_use"`
		Waiting int `json:"waiting"`
	} `json:"gate"`
	Spool spool.Stats `json:"spool"`
	Front struct {
		Draining    bool `json:"draining"`
		Connections struct {
			Max        int    `json:"max"`
			Open       int    `json:"open"`
			Idle       int    `json:"idle"`
			ClosedIdle uint64 `json:"closed_idle"`
			CutActive  uint64 `json:"cut_active"`
			Refused    uint64 `json:"refused"`
		} `json:"connections"`
		DroppedLines struct {
			Access uint64 `json:"access"`
			Error  uint64 `json:"error"`
		} `json:"dropped_lines"`
	} `json:"front"`
}

// side is the status of a gate, for a client of its own.
func (s sluice) side(t testing.TB) site {
	t.Helper()
	m := telling.FindStringSubmatch(s.output.String())
	if m == nil {
		t.Fatalf("the log does not say where the status is:\n%s", s.output)
	}
	return clientAt(t, goodFrom, "http://"+m[1], false)
}

func readState(t testing.TB, side site) (s state) {
	t.Helper()
	if err := json.NewDecoder(bytes.NewReader([]byte(side.get(t, "/status.json")))).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// lines counts what the gate has logged at a level.
func (s sluice) lines(level string) int { return strings.Count(s.output.String(), "level="+level) }

// wholeAnswer reads an answer that must be complete.
func wholeAnswer(t testing.TB, resp *http.Response, n int64) {
	t.Helper()
	defer resp.Body.Close()
	c := newPatternChecker()
	if got, err := io.Copy(c, resp.Body); err != nil || got != n {
		t.Errorf("an answer of %d bytes: %d came, %v", n, got, err)
	}
}

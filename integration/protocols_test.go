//go:build linux

package integration

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-proxy/sluice/bridge"
)

// singles are servers whose connections carry one request each.
var singles = map[string]func(testing.TB, int) backend{
	"scgi":          startSCGI,
	"perl scgi":     startPerlSCGI,
	"uwsgi":         func(t testing.TB, workers int) backend { return startUWSGISocket(t, "--socket", workers) },
	"uwsgi in scgi": func(t testing.TB, workers int) backend { return startUWSGISocket(t, "--scgi-socket", workers) },
}

func eachSingle(t *testing.T, workers int, f func(*testing.T, backend, site, *bridge.Handler)) {
	for name, start := range singles {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			be := start(t, workers)
			url, b := serveBridge(t, be.config())
			f(t, be, newSite(t, url), b)
		})
	}
}

func TestSinglesCarryMuch(t *testing.T) {
	eachSingle(t, 2, func(t *testing.T, _ backend, s site, _ *bridge.Handler) {
		data := random(1 << 20)
		wantBody(t, s.post(t, "/body", data), data)
		if got := s.post(t, "/echo", data); got != string(data) {
			t.Errorf("/echo answered %d bytes, not the %d sent", len(got), len(data))
		}
		const n = 100 << 20
		resp := s.open(t, t.Context(), "/download?n=104857600")
		defer resp.Body.Close()
		if resp.ContentLength != n {
			t.Errorf("Content-Length is %d", resp.ContentLength)
		}
		wantPattern(t, resp.Body, n)
	})
}

// An application that does not read the body closes its connection with a part of the body
// unread, which resets it. The answer is complete nevertheless if its length is known, and cut
// if it is not.
func TestSinglesLeaveBodiesUnread(t *testing.T) {
	eachSingle(t, 2, func(t *testing.T, _ backend, s site, _ *bridge.Handler) {
		for _, body := range [][]byte{random(1000), random(1 << 20)} {
			for range 5 {
				resp, got, err := s.try(s.request(t, http.MethodPost, "/download?n=1000", bytes.NewReader(body)))
				if err != nil || resp.StatusCode != http.StatusOK || len(got) != 1000 {
					t.Fatalf("%d bytes that nobody reads: %v, %d bytes, %v", len(body), resp, len(got), err)
				}
				// Without a length, the client gets all or sees that something is missing.
				resp, got, err = s.try(s.request(t, http.MethodPost, "/early", bytes.NewReader(body)))
				if err == nil && resp.StatusCode == http.StatusOK && got != "early\n" {
					t.Errorf("%d bytes that nobody reads: %q", len(body), got)
				}
			}
		}
	})
}

// An application that is killed takes its answers with it: none looks complete.
func TestSinglesAreKilled(t *testing.T) {
	eachSingle(t, 4, func(t *testing.T, be backend, s site, b *bridge.Handler) {
		g := newGate(t)
		waiting := s.background(t, t.Context(), "/wait?gate="+g.dir)
		g.entered(t, 1)
		resp := s.open(t, t.Context(), "/download?n=1073741824")
		defer resp.Body.Close()
		if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(-be.process.Process.Pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the download ended after another %d bytes with %v", n, err)
		}
		if o := within(t, "the request that had no answer", waiting); o.err != nil || o.status != http.StatusBadGateway {
			t.Errorf("the request that had no answer: %d %q, %v", o.status, head(o.body), o.err)
		}
		wantIdle(t, b)
	})
}

// The header of an answer does not end: the process does.
func TestSingleDiesInHeader(t *testing.T) {
	be := startSCGI(t, 1)
	url, _ := serveBridge(t, be.config())
	s := newSite(t, url)
	resp, _ := s.do(t, s.request(t, http.MethodPost, "/die?at=header", nil))
	if resp.StatusCode != http.StatusBadGateway || !strings.Contains(resp.Header.Get("Proxy-Status"), "http_response_incomplete") {
		t.Errorf("%s, Proxy-Status %q", resp.Status, resp.Header.Get("Proxy-Status"))
	}
}

// Long-polls wait at the gate, and pages come beside them.
func TestSinglesPolls(t *testing.T) {
	const workers, polls = 8, 24
	eachSingle(t, workers, func(t *testing.T, _ backend, s site, b *bridge.Handler) {
		g := newGate(t)
		var waiting []<-chan outcome
		for range polls {
			waiting = append(waiting, s.background(t, t.Context(), "/wait?gate="+g.dir))
		}
		g.entered(t, workers/2) // as many of a route that is not known
		for range 20 {
			if got := s.get(t, "/hello"); got != "hello\n" {
				t.Fatalf("beside %d long-polls: %q", polls, got)
			}
		}
		if in := b.Snapshot().Pool.Instances[0]; in.Busy+in.Dialing+in.Closing+in.Idle > workers || in.Idle > 0 {
			t.Errorf("%+v", in)
		}
		for range polls {
			g.pass(t)
		}
		for _, w := range waiting {
			within(t, "a long-poll", w).want(t, "waited\n")
		}
	})
}

//go:build linux

package integration

import (
	"fmt"
	"strings"
	"testing"
)

// Clients that ask for much and read nothing have all the room there is for answers. The
// others' forms and uploads come through, those that need more room than is left at the
// cost of the slowest.
func TestFloodOfSlowReaders(t *testing.T) {
	const size = 12 << 20
	be := startLibfcgi(t, 16)
	gate := startSluice(t, append(be.args(), "--spool-disk", "64MiB", "--spool-memory", "4MiB")...)
	side := gate.side(t)
	for range 40 {
		send(connect(t, floodFrom, gate.url), "GET /download?n=%d HTTP/1.1\r\nHost: x\r\n\r\n", size)
	}
	eventually(t, "the slow readers have what room there is", func() error {
		if s := readState(t, side).Spool; s.Disk < 46<<20 {
			return fmt.Errorf("the spool has %+v", s)
		}
		return nil
	})
	good := clientAt(t, goodFrom, gate.url, true)
	for range 20 {
		wantServed(t, good, 200, 4<<10, 100<<10, 1<<20)
	}
	if s := readState(t, side).Spool; s.Cut != 0 {
		t.Errorf("%d were cut, and there was room", s.Cut)
	}
	wantServed(t, good, 20<<20)
	s := readState(t, side).Spool
	if s.Cut == 0 || s.Cut > 20 {
		t.Errorf("%d were cut for 20 MiB", s.Cut)
	}
	eventually(t, "a warning names the client", func() error {
		if !strings.Contains(gate.output.String(), "client="+floodFrom+" ") {
			return errNotYet
		}
		return nil
	})
	if n := gate.lines("WARN"); n == 0 || n > 5 {
		t.Errorf("%d warnings, want a few that name the client", n)
	}
	wantServed(t, good, 200)

	// What the slow readers have no room for holds workers, all that such requests may
	// have. Others' requests for the same thing are waited for.
	for range 3 {
		wholeAnswer(t, good.open(t, t.Context(), "/download?n=1000000"), 1_000_000)
	}
}

// The same with uploads that stop before their end.
func TestFloodOfSlowUploads(t *testing.T) {
	be := startLibfcgi(t, 4)
	gate := startSluice(t, append(be.args(), "--spool-disk", "32MiB", "--spool-memory", "4MiB")...)
	side := gate.side(t)
	part := strings.Repeat("x", 1<<20)
	for range 40 {
		c := connect(t, floodFrom, gate.url)
		send(c, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 2<<20)
		send(c, "%s", part)
	}
	for range 500 { // and some that stop before a page is full
		send(connect(t, floodFrom, gate.url), "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx")
	}
	eventually(t, "the uploads have all the room", func() error {
		if s := readState(t, side).Spool; s.Disk < 28<<20 {
			return fmt.Errorf("the spool has %+v", s)
		}
		return nil
	})
	before := readState(t, side).Spool.Cut // the slow ones' own, in favour of each other
	good := clientAt(t, goodFrom, gate.url, true)
	for range 20 {
		wantServed(t, good, 200, 100<<10, 1<<20)
	}
	wantServed(t, good, 8<<20)
	if n := readState(t, side).Spool.Cut - before; n == 0 || n > 12 {
		t.Errorf("%d were cut for an upload of 8 MiB, want as many as make room", n)
	}
}

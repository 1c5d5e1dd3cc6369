//go:build linux

package integration

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// maxGrowth is how far the gate's memory may grow for a transfer of any size.
const maxGrowth = 16 << 20

func TestMemoryStaysFlat(t *testing.T) {
	t.Run("upload of 1 GiB", func(t *testing.T) {
		gate := startSluice(t, startGo(t, 4).args()...)
		s := newSite(t, gate.url)
		wantFlat(t, gate, s, func() { uploadPattern(t, s, 1<<30) })
	})
	t.Run("download of 1 GiB", func(t *testing.T) {
		gate := startSluice(t, startGo(t, 4).args()...)
		s := newSite(t, gate.url)
		wantFlat(t, gate, s, func() { downloadPattern(t, s, 1<<30) })
	})
	t.Run("stderr flood of 130 MB", func(t *testing.T) {
		gate := startSluice(t, startLibfcgi(t, 4).args()...)
		s := newSite(t, gate.url)
		wantFlat(t, gate, s, func() { flood(t, gate, s) })
	})
	t.Run("stderr flood of 130 MB from PHP", func(t *testing.T) {
		be := startFPM(t, fpmOptions{root: testdata(t, ""), workers: 2})
		gate := startSluice(t, be.args()...)
		s := newSite(t, gate.url+be.prefix)
		wantFlat(t, gate, s, func() { flood(t, gate, s) })
	})
}

// flood checks that the answer behind a flood arrives, and that the log holds
// some of the flood but not all.
func flood(t testing.TB, gate sluice, s site) {
	t.Helper()
	const enough = 4 << 20 // of 130 MB
	if got := s.get(t, "/stderr?n=130000000"); got != "after the flood\n" {
		t.Errorf("got %q", got)
	}
	eventually(t, "the flood is in the log", func() error {
		if !strings.Contains(gate.output.String(), "eeee") {
			return errNotYet
		}
		return nil
	})
	if n := gate.output.size(); n > enough {
		t.Errorf("the log took %d bytes of the flood", n)
	}
}

func uploadPattern(t testing.TB, s site, n int64) {
	t.Helper()
	r := s.request(t, http.MethodPost, "/pattern", io.LimitReader(newPatternReader(), n))
	r.ContentLength = n
	if resp, got := s.do(t, r); got != fmt.Sprintf("%d bytes, error <nil>", n) {
		t.Errorf("got %s, %q", resp.Status, head(got))
	}
}

func downloadPattern(t testing.TB, s site, n int64) {
	t.Helper()
	resp := s.open(t, t.Context(), fmt.Sprint("/download?n=", n))
	defer resp.Body.Close()
	wantPattern(t, resp.Body, n)
}

// wantFlat measures how far the gate's peak memory grows during a transfer.
func wantFlat(t *testing.T, gate sluice, s site, transfer func()) {
	t.Helper()
	if got := s.get(t, "/hello"); got != "hello\n" {
		t.Fatalf("got %q", got)
	}
	proc := fmt.Sprintf("/proc/%d/", gate.Process.Pid)
	// 5 resets the peak (VmHWM) to what is resident now; see proc(5).
	if err := os.WriteFile(proc+"clear_refs", []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
	before := peak(t, proc)
	transfer()
	growth := peak(t, proc) - before
	t.Logf("peak memory grew by %.1f MiB, from %.1f MiB", float64(growth)/(1<<20), float64(before)/(1<<20))
	if growth >= maxGrowth {
		t.Errorf("that is more than %d MiB", maxGrowth>>20)
	}
}

var vmHWM = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak is a process's largest resident size, in bytes.
func peak(t testing.TB, proc string) int {
	t.Helper()
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		t.Fatal(err)
	}
	m := vmHWM.FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmHWM in\n%s", status)
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

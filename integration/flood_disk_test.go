//go:build linux

package integration

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mountTmpfs mounts a file system of that size.
func mountTmpfs(t testing.TB, size string) (dir string) {
	t.Helper()
	dir = socketDir(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NODEV|syscall.MS_NOSUID, "mode=0700,size="+size); err != nil {
		missing(t, fmt.Sprintf("root, and a file system to mount (%v)", err))
	}
	t.Cleanup(func() {
		// What the gate had open may live a moment longer.
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fill takes what room there is in a directory's file system.
func fill(t testing.TB, dir string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return path
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// A file system that is smaller than what may be used is shared as a large one is: slow
// readers do not fill it, and uploads find room.
func TestSmallFileSystem(t *testing.T) {
	dir := mountTmpfs(t, "24m")
	be := startLibfcgi(t, 16)
	gate := startSluice(t, append(be.args(), "--spool-dir", dir, "--spool-memory", "4MiB")...)
	if n := gate.lines("WARN"); n != 1 || !strings.Contains(gate.output.String(), dir) {
		t.Errorf("%d warnings at the start, want one about the file system", n)
	}
	side := gate.side(t)
	for range 12 {
		send(connect(t, floodFrom, gate.url), "GET /download?n=%d HTTP/1.1\r\nHost: x\r\n\r\n", 12<<20)
	}
	eventually(t, "the slow readers have what room there is", func() error {
		if s := readState(t, side).Spool; s.Disk < 13<<20 {
			return fmt.Errorf("the spool has %+v", s)
		}
		return nil
	})
	good := clientAt(t, goodFrom, gate.url, true)
	for range 10 {
		wantServed(t, good, 200, 100<<10, 1<<20)
	}
	wantServed(t, good, 8<<20)
	if s := readState(t, side).Spool; s.DiskError != "" || s.DiskLimit > 24<<20 {
		t.Errorf("the spool has %+v", s)
	}
}

// Others fill the file system in the middle of downloads: these go on at their clients'
// pace, and are whole. Forms are served as ever, uploads as long as there is memory, and
// then there is a clear answer. When there is room again it is used.
func TestFullFileSystem(t *testing.T) {
	const size = 24 << 20
	dir := mountTmpfs(t, "64m")
	be := startLibfcgi(t, 8)
	gate := startSluice(t, append(be.args(), "--spool-dir", dir, "--spool-memory", "8MiB")...)
	side := gate.side(t)
	flood := clientAt(t, floodFrom, gate.url, true)
	var slow []*http.Response
	download := func() { slow = append(slow, flood.open(t, t.Context(), fmt.Sprint("/download?n=", size))) }
	download()
	eventually(t, "an answer is on disk", func() error {
		if s := readState(t, side).Spool; s.Disk < 1<<20 {
			return fmt.Errorf("the spool has %+v", s)
		}
		return nil
	})
	filler := fill(t, dir)
	download()
	download()
	eventually(t, "the file system is known to be full", func() error {
		if s := readState(t, side).Spool; !strings.Contains(s.DiskError, "no space left on device") || !strings.Contains(s.DiskError, dir) {
			return fmt.Errorf("the spool has %+v", s)
		}
		return nil
	})
	good := clientAt(t, goodFrom, gate.url, true)
	for range 50 {
		wantServed(t, good, 200, 4<<10)
	}
	wantServed(t, good, 500<<10) // more than is held in memory of one body, elsewhere
	resp, body := good.do(t, good.request(t, http.MethodPost, "/body", strings.NewReader(strings.Repeat("x", 8<<20))))
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "no room") {
		t.Errorf("an upload of 8 MiB: %s\n%s", resp.Status, head(body))
	}
	eventually(t, "the log has an error", func() error {
		if gate.lines("ERROR") == 0 {
			return errNotYet
		}
		return nil
	})
	if n := gate.lines("ERROR"); n != 1 {
		t.Errorf("%d errors in the log, want one", n)
	}
	wholeAnswer(t, slow[0], size)
	wholeAnswer(t, slow[1], size)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an upload of 8 MiB, when there is room again", func() error {
		data := random(8 << 20)
		resp, body := good.do(t, good.request(t, http.MethodPost, "/body", strings.NewReader(string(data))))
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		wantBody(t, body, data)
		return nil
	})
	wantRecovered(t, gate, side)
	wholeAnswer(t, slow[2], size)
	if s := readState(t, side).Spool; s.Cut != 0 {
		t.Errorf("%d were cut", s.Cut)
	}
}

// The directory is removed, as those that tidy up do, and comes back.
func TestSpoolDirectoryGone(t *testing.T) {
	const size = 12 << 20
	dir := filepath.Join(t.TempDir(), "spool")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	be := startLibfcgi(t, 4)
	gate := startSluice(t, append(be.args(), "--spool-dir", dir, "--spool-memory", "4MiB")...)
	side := gate.side(t)
	flood := clientAt(t, floodFrom, gate.url, false)
	before := flood.open(t, t.Context(), fmt.Sprint("/download?n=", size))
	eventually(t, "an answer is on disk", func() error {
		if s := readState(t, side).Spool; s.Disk < 1<<20 {
			return fmt.Errorf("the spool has %+v", s)
		}
		return nil
	})
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	after := flood.open(t, t.Context(), fmt.Sprint("/download?n=", size))
	good := clientAt(t, goodFrom, gate.url, true)
	for range 10 {
		wantServed(t, good, 200, 100<<10, 1<<20)
	}
	eventually(t, "it is known that the directory is gone", func() error {
		if s := readState(t, side).Spool; !strings.Contains(s.DiskError, "no such file or directory") {
			return fmt.Errorf("the spool has %+v", s)
		}
		return nil
	})
	wholeAnswer(t, before, size)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the directory is used again", func() error {
		if s := readState(t, side).Spool; s.DiskError != "" {
			return errors.New(s.DiskError)
		}
		return nil
	})
	wantRecovered(t, gate, side)
	wholeAnswer(t, after, size)
}

// wantRecovered fails unless the gate writes files again, and has said so: one line when
// it began, one when it ended.
func wantRecovered(t testing.TB, gate sluice, side site) {
	t.Helper()
	if s := readState(t, side).Spool; s.DiskError != "" {
		t.Errorf("the spool has %+v", s)
	}
	const begins, ends = `msg="temporary files cannot be written`, `msg="temporary files can be written again`
	eventually(t, "the log says that files can be written again", func() error {
		if !strings.Contains(gate.output.String(), ends) {
			return errNotYet
		}
		return nil
	})
	log := gate.output.String()
	if began, ended := strings.Count(log, begins), strings.Count(log, ends); began != 1 || ended != 1 {
		t.Errorf("the log says %d times that files cannot be written, and %d times that they can; want one of each", began, ended)
	}
}

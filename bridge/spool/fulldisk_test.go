package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// fullDiskDir, in the environment, makes this test binary run onFullDisk with
// its temporary files in that directory.
const fullDiskDir = "SPOOL_FULL_DISK_DIR"

// A file system that is full: the kernel lets a child process have files of
// 10,000 bytes, and takes a part of the write that goes beyond. (Package
// integration has one that is full.)
func TestFullDisk(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fullDiskDir+"="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "ok\n" {
		t.Errorf("child: %v\n%s", err, out)
	}
}

func onFullDisk() int {
	// The kernel's signal for this ends a process by default; a full disk has none.
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 10_000, Max: 10_000}); err != nil {
		fmt.Println(err)
		return 1
	}
	dir := os.Getenv(fullDiskDir)
	s, err := New(Config{Dir: dir, Buffer: 1000, Memory: lone(12_000)})
	if err == nil {
		err = errors.Join(bufferOnFullDisk(s, dir), pipeOnFullDisk(s))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ok")
	return 0
}

// bufferOnFullDisk writes what there is room for on disk, then in memory, then
// nowhere.
func bufferOnFullDisk(s *Store, dir string) error {
	data := pattern(30_000)
	b := s.NewBuffer(Owner{}, -1)
	for _, end := range []int{9000, 20_500} {
		if _, err := b.Write(data[b.Len():end]); err != nil {
			return fmt.Errorf("buffer: up to %d: %w", end, err)
		}
	}
	n, err := b.Write(data[20_500:])
	if n != 0 || !errors.Is(err, ErrDisk) || !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), dir) {
		return fmt.Errorf("buffer: Write = %d, %v, want ErrDisk, EFBIG and the directory", n, err)
	}
	if _, again := b.Write(data[20_500:20_501]); again == nil {
		return errors.New("buffer: a Write after the failed one went through")
	}
	got, err := io.ReadAll(b.NewReader())
	if err != nil || !bytes.Equal(got, data[:20_500]) {
		return fmt.Errorf("buffer: read %d bytes, %v, want the 20,500 written before", len(got), err)
	}
	return closedClean(s, b)
}

// pipeOnFullDisk sends an answer that is larger than what there is room for.
func pipeOnFullDisk(s *Store) error {
	data := pattern(50_000)
	p := s.NewPipe(Owner{})
	written := make(chan error, 1)
	go func() {
		_, err := p.Write(data)
		p.CloseWrite(nil)
		written <- err
	}()
	got, err := io.ReadAll(p)
	if err = errors.Join(err, <-written); err != nil || !bytes.Equal(got, data) {
		return fmt.Errorf("pipe: read %d bytes, %w, want all %d", len(got), err, len(data))
	}
	if u := s.Stats(); u.Memory != 0 || u.Disk != 0 {
		return fmt.Errorf("pipe: drained, and %+v in use", u)
	}
	return closedClean(s, p)
}

func closedClean(s *Store, c io.Closer) error {
	if err := c.Close(); err != nil {
		return err
	}
	u := held(s)
	u.DiskError, u.Refused = "", 0
	if u != (Stats{}) {
		return fmt.Errorf("closed, and %+v in use", u)
	}
	return nil
}

// A directory that has gone, and comes back: what was on disk before is still
// there, answers go at their reader's pace meanwhile, and the log has a line at
// either end.
func TestDirectoryGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "spool")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		log, text := logged()
		s := newStore(t, Config{Dir: dir, Buffer: 8, Logger: log})
		old := s.NewPipe(Owner{})
		defer old.Close()
		mustWrite(t, old, pattern(100))
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, old, pattern(100))

		p, b := s.NewPipe(Owner{}), s.NewBuffer(Owner{}, -1)
		defer p.Close()
		defer b.Close()
		w := start(p.Write, pattern(100))
		w.waits(t)
		mustRead(t, p, pattern(60))
		w.waits(t)
		mustWrite(t, b, pattern(50))
		if got, err := io.ReadAll(b.NewReader()); err != nil || !bytes.Equal(got, pattern(50)) {
			t.Errorf("read %q, %v", got, err)
		}
		if said := s.Stats().DiskError; !strings.Contains(said, dir) || !strings.Contains(said, "no such file") {
			t.Errorf("the error is %q, want it to name %s", said, dir)
		}
		time.Sleep(time.Minute + retryDisk/2) // not when it is tried again
		if n := strings.Count(text.String(), "\n"); n != 1 || !strings.Contains(text.String(), "level=ERROR") || !strings.Contains(text.String(), dir) {
			t.Errorf("the log has\n%s\nwant one line", text)
		}

		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w.waits(t)
		time.Sleep(retryDisk)
		w.want(t, 100, nil)
		mustRead(t, p, pattern(100)[60:])
		mustRead(t, old, pattern(100))
		mustRead(t, old, pattern(100))
		if said := s.Stats().DiskError; said != "" {
			t.Errorf("files can be written again, and the error is %q", said)
		}
		if n := strings.Count(text.String(), "\n"); n != 2 || !strings.Contains(text.String(), "level=INFO") {
			t.Errorf("the log has\n%s\nwant a second line", text)
		}
	})
}

// A disk that fails and works by turns fills no log.
func TestFlappingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, text := logged()
		s := newStore(t, Config{Buffer: 8, Logger: log})
		for range 100 {
			s.diskFailed(syscall.ENOSPC)
			time.Sleep(retryDisk)
			s.diskWorked()
		}
		if n := strings.Count(text.String(), "\n"); n < 2 || n > 22 {
			t.Errorf("%d lines in 100 s, want at most two in 10 s:\n%s", n, text)
		}
	})
}

// Requests that are refused fill no log either: the first, and then one in ten
// seconds, with how many there were.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, text := logged()
		s := newStore(t, Config{Memory: 1, Disk: 100, Logger: log})
		for range 1001 {
			b, _ := newUpload(t, s, "192.0.2.7")
			if _, err := b.Write(pattern(5000)); !errors.Is(err, ErrDiskFull) {
				t.Fatal(err)
			}
			time.Sleep(reportInterval / 1000)
		}
		if n := s.Stats().Refused; n != 1001 {
			t.Errorf("%d refused", n)
		}
		if said := text.String(); strings.Count(said, "\n") != 2 || !strings.Contains(said, "refused=1000 last_client=192.0.2.7") {
			t.Errorf("the log has\n%s\nwant two lines", said)
		}
	})
}

// Errors of any kind in the middle of a body are no reason to lose it. A file that
// was opened for reading alone cannot be written.
func TestWriteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Config{Buffer: 8})
		b, p := s.NewBuffer(Owner{}, -1), s.NewPipe(Owner{})
		defer b.Close()
		defer p.Close()
		mustWrite(t, b, pattern(100))
		mustWrite(t, p, pattern(100))
		for _, h := range []*holding{&b.holding, &p.holding} {
			readOnly, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", h.file.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			good := h.file
			h.file = readOnly
			defer good.Close()
		}
		mustWrite(t, b, pattern(300)[100:])
		if got, err := io.ReadAll(b.NewReader()); err != nil || !bytes.Equal(got, pattern(300)) {
			t.Errorf("buffer: read %d bytes, %v", len(got), err)
		}
		w := start(p.Write, pattern(300)[100:])
		w.waits(t)
		mustRead(t, p, pattern(300))
		w.want(t, 200, nil)
		if !strings.Contains(s.Stats().DiskError, "bad file descriptor") {
			t.Errorf("the error is %q", s.Stats().DiskError)
		}
		s.diskWorked()
	})
}

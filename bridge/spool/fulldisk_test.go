package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// fullDiskDir, in the environment, makes this test binary run onFullDisk with
// its temporary files in that directory.
const fullDiskDir = "SPOOL_FULL_DISK_DIR"

// A file system that is full: the kernel lets a child process have files of
// 10,000 bytes, and takes a part of the write that goes beyond.
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
	s, err := New(Config{Dir: dir, Buffer: 1000})
	if err == nil {
		err = errors.Join(bufferOnFullDisk(s, dir), pipeOnFullDisk(s, dir))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ok")
	return 0
}

func bufferOnFullDisk(s *Store, dir string) error {
	data := pattern(20_000)
	b := s.NewBuffer(-1)
	if _, err := b.Write(data[:9000]); err != nil {
		return err
	}
	n, err := b.Write(data[9000:])
	if n != 0 || !isFull(err, dir) {
		return fmt.Errorf("buffer: Write = %d, %v, want EFBIG and the directory", n, err)
	}
	if _, again := b.Write(data[9000:9001]); again == nil {
		return errors.New("buffer: a Write after the failed one went through")
	}
	got, err := io.ReadAll(b.NewReader())
	if err != nil || !bytes.Equal(got, data[:9000]) {
		return fmt.Errorf("buffer: read %d bytes, %v, want the 9000 written before", len(got), err)
	}
	return closedClean(s, b)
}

func pipeOnFullDisk(s *Store, dir string) error {
	data := pattern(20_000)
	p := s.NewPipe()
	n, err := p.Write(data)
	// What is in memory counts. Of a failed write os.File does not say how much of
	// it went in, so that is not queued.
	if n != 1000 || !isFull(err, dir) {
		return fmt.Errorf("pipe: Write = %d, %v, want 1000, EFBIG and the directory", n, err)
	}
	p.CloseWrite(err)
	got, end := io.ReadAll(p)
	if end != err || !bytes.Equal(got, data[:n]) {
		return fmt.Errorf("pipe: read %d bytes, %v, want the %d that Write queued and its error", len(got), end, n)
	}
	if u := s.Stats(); u.Memory != 0 || u.Disk != 0 {
		return fmt.Errorf("pipe: drained, and %+v in use", u)
	}
	return closedClean(s, p)
}

func isFull(err error, dir string) bool {
	return errors.Is(err, syscall.EFBIG) && strings.Contains(err.Error(), dir)
}

func closedClean(s *Store, c io.Closer) error {
	if err := c.Close(); err != nil {
		return err
	}
	if u := s.Stats(); u != (Stats{}) {
		return fmt.Errorf("closed, and %+v in use", u)
	}
	return nil
}

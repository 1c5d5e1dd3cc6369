package logwriter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// file is one that may stall, be full or fail. Once it is closed, it fails the test if
// it is used.
type file struct {
	t *testing.T

	mu     sync.Mutex
	change sync.Cond
	text   bytes.Buffer
	stalls bool
	room   int // bytes that fit; -1: all
	err    error
	closed bool
}

func newFile(t *testing.T) *file {
	f := &file{t: t, room: -1}
	f.change.L = &f.mu
	return f
}

func (f *file) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.stalls {
		f.change.Wait()
	}
	if f.closed {
		f.t.Error("written after it was closed")
	}
	if f.room >= 0 && f.room < len(p) {
		n, _ := f.text.Write(p[:f.room])
		f.room = 0
		return n, f.err
	}
	if f.room > 0 {
		f.room -= len(p)
	}
	return f.text.Write(p)
}

func (f *file) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		f.t.Error("closed twice")
	}
	f.closed = true
	return nil
}

func (f *file) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

func (f *file) set(set func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	set()
	f.change.Broadcast()
}

func (f *file) want(t *testing.T, text string) {
	t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.text.String() != text {
		t.Errorf("the file has %d bytes, want %d; it ends in %q", f.text.Len(), len(text), f.text.String()[max(0, f.text.Len()-200):])
	}
}

// told is what the events said.
type told struct {
	mu   sync.Mutex
	said []string
}

func (d *told) events() Events {
	say := func(format string, args ...any) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.said = append(d.said, fmt.Sprintf(format, args...))
	}
	return Events{func(err error) { say("begun: %v", err) }, func(lines uint64) { say("ended: %d", lines) }}
}

func (d *told) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if strings.Join(d.said, "; ") != strings.Join(want, "; ") {
		t.Errorf("said %q, want %q", d.said, want)
	}
}

const line = "0123456789012345678901234567890123456789012345678901234567890\n" // 62 bytes

const fits = BufferSize / len(line) // lines

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if n, err := io.WriteString(w, text); n != len(text) || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
}

func TestLinesArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFile(t)
		w := New(f, Events{})
		for range 1000 {
			write(t, w, line)
		}
		f.want(t, strings.Repeat(line, 1000))
		write(t, w, "the last\n")
		if lost := w.Close(time.Second); lost != 0 || !f.isClosed() {
			t.Errorf("%d lost, closed: %v", lost, f.isClosed())
		}
		f.want(t, strings.Repeat(line, 1000)+"the last\n")
		write(t, w, "too late\n")
		if n := w.Dropped(); n != 1 {
			t.Errorf("%d dropped", n)
		}
		w.Close(time.Second)
	})
}

// The other side takes nothing for a while: a buffer is being written, another fills,
// and what comes then is dropped and counted.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, said := newFile(t), new(told)
		f.stalls = true
		w := New(f, said.events())
		defer w.Close(time.Second)
		write(t, w, "first\n")
		synctest.Wait()
		for range fits + 100 {
			write(t, w, line)
		}
		said.want(t, "begun: <nil>")
		if n := w.Dropped(); n != 100 {
			t.Errorf("%d dropped, want 100", n)
		}
		f.set(func() { f.stalls = false })
		f.want(t, "first\n"+strings.Repeat(line, fits))
		said.want(t, "begun: <nil>", "ended: 100")
		write(t, w, "again\n")
		f.want(t, "first\n"+strings.Repeat(line, fits)+"again\n")
	})
}

// A file system that is full in the middle of a line: that is completed when there is
// room again.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, said := newFile(t), new(told)
		f.room, f.err = 100, syscall.ENOSPC
		w := New(f, said.events())
		defer w.Close(time.Second)
		for range 3 {
			write(t, w, line)
			synctest.Wait()
		}
		f.want(t, (line + line)[:100])
		said.want(t)
		for range 2*fits + 10 {
			write(t, w, line)
		}
		said.want(t, "begun: no space left on device")
		f.set(func() { f.room = -1 })
		time.Sleep(2 * retryAfter)
		dropped := int(w.Dropped())
		f.want(t, strings.Repeat(line, 3+2*fits+10-dropped))
		said.want(t, "begun: no space left on device", fmt.Sprint("ended: ", dropped))
	})
}

// Stalls that follow each other fill no log: begin and end are told in ten seconds.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, said := newFile(t), new(told)
		w := New(f, said.events())
		defer w.Close(time.Second)
		for range 100 {
			f.set(func() { f.stalls = true })
			for range 25 {
				write(t, w, strings.Repeat(line, fits/10))
			}
			f.set(func() { f.stalls = false })
			time.Sleep(time.Second)
			write(t, w, line)
			synctest.Wait()
		}
		if n := len(said.said); n < 10 || n > 22 {
			t.Errorf("said %d times in 100 s: %q", n, said.said)
		}
	})
}

// Reopen goes on with the new file even if the old one is stuck for ever.
func TestReopen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two, three := newFile(t), newFile(t), newFile(t)
		w := New(one, Events{})
		write(t, w, "one\n")
		one.want(t, "one\n")
		w.Reopen(two)
		synctest.Wait()
		if !one.isClosed() {
			t.Error("the first file is open")
		}
		write(t, w, "two\n")
		two.want(t, "two\n")
		two.set(func() { two.stalls = true })
		write(t, w, "stuck\n")
		synctest.Wait()
		write(t, w, "three\n")
		w.Reopen(three)
		three.want(t, "three\n")
		write(t, w, "more\n")
		three.want(t, "three\nmore\n")
		begun := time.Now()
		if lost := w.Close(3 * time.Second); lost != 0 || time.Since(begun) != 3*time.Second || !three.isClosed() || two.isClosed() {
			t.Errorf("%d lost after %v, closed: %v, %v", lost, time.Since(begun), three.isClosed(), two.isClosed())
		}
		two.set(func() { two.stalls = false })
		two.want(t, "two\nstuck\n")
		synctest.Wait()
		w.Reopen(newFile(t))
	})
}

// What a file that fails has not taken goes to the next one, from the beginning of the
// line that broke off.
func TestReopenAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, good := newFile(t), newFile(t)
		full.room, full.err = 8, syscall.ENOSPC
		w := New(full, Events{})
		defer w.Close(time.Second)
		full.set(func() { full.stalls = true })
		write(t, w, "x\n")
		synctest.Wait()
		write(t, w, "first\nsecond\nthird\n")
		full.set(func() { full.stalls = false })
		full.want(t, "x\nfirst\n")
		full.set(func() { full.room = 3 })
		time.Sleep(retryAfter)
		full.want(t, "x\nfirst\nsec")
		write(t, w, "fourth\n") // it comes while there is no room
		w.Reopen(good)
		good.want(t, "second\nthird\nfourth\n")
	})
}

// A drain does not wait for a reader that has gone, and says what it has cost.
func TestCloseOfStuck(t *testing.T) {
	for name, set := range map[string]func(*file){
		"stalled": func(f *file) { f.stalls = true },
		"failing": func(f *file) { f.room, f.err = 0, errors.New("broken pipe") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFile(t)
				set(f)
				w := New(f, Events{})
				write(t, w, "one\ntwo\n")
				synctest.Wait()
				write(t, w, "three\n")
				begun := time.Now()
				if lost := w.Close(time.Second); lost != 3 || time.Since(begun) > time.Second {
					t.Errorf("%d lines lost after %v, want 3 in a second", lost, time.Since(begun))
				}
				f.set(func() { f.stalls = false })
			})
		})
	}
}

// Package logwriter writes log lines to a file, a pipe or a terminal through a bounded buffer, so that
// no caller waits for the output. Lines without room in the buffer are dropped whole, and counted.
//
// What always holds:
//
//   - Write never waits, whether the output stalls, fails or goes away.
//   - The output gets whole lines in order, none twice. A failed write is continued from the byte
//     where it stopped. Only if the file is opened again during a write that fails do its lines come later.
//   - There are at most two buffers of BufferSize bytes.
//   - The goroutine that writes to a file owns and closes it. Reopen, and Close after its time-out, do
//     not wait for a goroutine that is stuck in a write.
package logwriter

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	// BufferSize is how many bytes may wait to be written: a few thousand lines.
	BufferSize = 1 << 20
	// retryAfter is the pause after a failed write.
	retryAfter = time.Second
	// eventInterval is the least time between two calls of DropsBegan.
	eventInterval = 10 * time.Second
)

// Events has functions that are called when lines begin to be dropped, and when that has ended, with
// the number of lines. They are called in goroutines of the Writer, and may log to the same Writer.
type Events struct {
	DropsBegan func(why error) // why is nil if the output does not read
	DropsEnded func(lines uint64)
}

// Writer is an io.Writer for whole lines.
type Writer struct {
	events Events

	mu         sync.Mutex
	cond       sync.Cond // on mu; signalled when there are lines to write, or to stop
	pending    []byte
	spare      []byte // the second buffer, while it is not being written
	writing    []byte // the buffer that the goroutine of out writes
	left       []byte // what is left of it, from the beginning of a line, while that pauses after an error
	out        *output
	closed     bool
	goroutines sync.WaitGroup // of this Writer

	failure    error     // the error of the last write
	dropped    uint64    // lines dropped, ever
	unreported uint64    // dropped lines not passed to DropsEnded yet
	began      bool      // DropsBegan was called for these
	lastEvent  time.Time // when one of the two was called last
}

// output is a file and the goroutine that writes to it.
type output struct {
	to   io.WriteCloser
	stop chan struct{} // closed when another output replaces it
}

// New returns a Writer to to. The Writer closes to in the end.
func New(to io.WriteCloser, events Events) *Writer {
	w := &Writer{events: events}
	w.cond.L = &w.mu
	w.use(to)
	return w
}

// Reopen continues with another file. The previous one is closed after the write that is in
// progress.
func (w *Writer) Reopen(to io.WriteCloser) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		_ = to.Close() // nothing was written to it
		return
	}
	close(w.out.stop)
	w.putBack(w.left)
	w.spare, w.writing, w.left, w.failure = nil, nil, nil, nil // they belong to the previous output
	w.use(to)
	w.cond.Broadcast()
}

// putBack has lines of the previous output written before those that came later. mu is held.
func (w *Writer) putBack(lines []byte) {
	if len(lines) > 0 {
		w.pending = append(lines, w.pending...)
	}
}

func (w *Writer) use(to io.WriteCloser) {
	out := &output{to: to, stop: make(chan struct{})}
	w.out = out
	w.goroutines.Go(func() { w.run(out) })
}

// Dropped returns how many lines have been dropped.
func (w *Writer) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Write takes one or more whole lines. It never fails.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.pending)+len(p) > BufferSize {
		w.drop(uint64(bytes.Count(p, newline)))
		return len(p), nil
	}
	w.pending = append(w.pending, p...)
	w.cond.Signal()
	return len(p), nil
}

var newline = []byte{'\n'}

// drop counts dropped lines. mu is held, here and in the methods below.
func (w *Writer) drop(lines uint64) {
	w.dropped += lines
	w.unreported += lines
	if now := time.Now(); !w.began && w.events.DropsBegan != nil && !w.closed && now.Sub(w.lastEvent) >= eventInterval {
		w.began, w.lastEvent = true, now
		why := w.failure
		w.goroutines.Go(func() { w.events.DropsBegan(why) })
	}
}

// caughtUp reports the number of dropped lines, if no more are being dropped.
func (w *Writer) caughtUp() {
	now := time.Now()
	if w.unreported == 0 || len(w.pending) > BufferSize/2 || !w.began && now.Sub(w.lastEvent) < eventInterval {
		return
	}
	if lines := w.unreported; w.events.DropsEnded != nil {
		w.goroutines.Go(func() { w.events.DropsEnded(lines) })
	}
	w.began, w.unreported, w.lastEvent = false, 0, now
}

// run writes pending lines until another output replaces out, or the Writer is closed and every line
// was tried.
func (w *Writer) run(out *output) {
	defer func() { _ = out.to.Close() }() // there is no other output for the rest
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.pending) == 0 && w.out == out && !w.closed {
			w.cond.Wait()
		}
		if w.out != out || len(w.pending) == 0 {
			return
		}
		taken := w.pending
		w.pending, w.spare = w.spare[:0], nil
		rest := w.write(out, taken)
		if w.out == out {
			w.writing = nil
		}
		switch {
		case w.out != out:
			w.putBack(rest)
			w.cond.Signal()
			return
		case len(rest) > 0: // closed
			w.drop(uint64(bytes.Count(rest, newline)))
			return
		}
		w.spare = taken[:0]
		w.caughtUp()
	}
}

// write writes lines, and retries after errors, until out is replaced or the Writer is closed. It
// returns the lines that are left, from the beginning of a line. It releases mu meanwhile.
func (w *Writer) write(out *output, lines []byte) (rest []byte) {
	w.writing = lines
	for at := 0; ; {
		w.mu.Unlock()
		n, err := out.to.Write(lines[at:])
		w.mu.Lock()
		at += n
		if w.out == out {
			w.writing, w.failure = lines[at:], err
		}
		switch {
		case err == nil:
			return nil
		case w.out != out:
			return lines[bytes.LastIndexByte(lines[:at], '\n')+1:] // the new file gets whole lines
		case w.closed:
			return lines[at:]
		}
		w.left = lines[bytes.LastIndexByte(lines[:at], '\n')+1:]
		w.mu.Unlock()
		t := time.NewTimer(retryAfter)
		select {
		case <-t.C:
		case <-out.stop:
		}
		t.Stop()
		w.mu.Lock()
		if w.out != out {
			return nil // the new file has what was left
		}
		w.left = nil
	}
}

// Close writes the pending lines and closes the file, within a time. It returns how many lines were
// dropped or are still being written. Later lines are dropped.
func (w *Writer) Close(within time.Duration) (lost uint64) {
	w.mu.Lock()
	before := w.dropped
	if !w.closed {
		w.closed = true
		close(w.out.stop)
		w.cond.Broadcast()
	}
	w.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		w.goroutines.Wait()
		close(ended)
	}()
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped - before + uint64(bytes.Count(w.pending, newline)+bytes.Count(w.writing, newline))
}

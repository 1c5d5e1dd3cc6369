// Package logwriter writes lines to a file, a pipe or a terminal without making those
// who log wait for it: through a buffer that is bounded. Lines that find no room in it
// are dropped whole, and counted.
//
// What always holds:
//
//   - Write never waits for the other side, whatever that does: stall, fail, go away.
//   - What is written is whole lines in order, none twice. What could not be written
//     is tried again, from the byte where it broke off.
//   - There are two buffers of Size bytes at most.
//   - The file belongs to the goroutine that writes to it, which closes it. One that
//     is stuck in a write is left behind by Reopen, and by Close when its time is up.
package logwriter

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	// Size is how much waits to be written, in bytes: a few thousand lines.
	Size = 1 << 20
	// retry is how long nothing is tried after writing has failed.
	retry = time.Second
	// pause is how long Begun is not called again.
	pause = 10 * time.Second
)

// Events are told when lines begin to be dropped, and when that has ended, with how
// many. They are called in goroutines of the Writer, and may log, be it to the same
// Writer.
type Events struct {
	Begun func(why error) // nil error: the other side does not take them
	Ended func(lines uint64)
}

// Writer is where lines go. Each Write is one or more whole lines.
type Writer struct {
	events Events

	mu      sync.Mutex
	more    sync.Cond // on mu: there is something to write, or to stop for
	pending []byte
	spare   []byte // the other buffer, while nobody writes it
	writing []byte // by the present output's goroutine
	out     *output
	closed  bool
	left    sync.WaitGroup // goroutines that write

	failure error     // why writing does not work just now
	dropped uint64    // lines, ever
	lines   uint64    // of them, those that Ended was not called for
	told    bool      // Begun was called for those
	last    time.Time // when one of the two was called
}

// output is a file and the goroutine that writes to it.
type output struct {
	to   io.WriteCloser
	stop chan struct{} // closed when another takes its place
}

// New returns a Writer to to, which it closes in the end.
func New(to io.WriteCloser, events Events) *Writer {
	w := &Writer{events: events}
	w.more.L = &w.mu
	w.use(to)
	return w
}

// Reopen goes on with another file, and closes the one before when what was being
// written to that is there.
func (w *Writer) Reopen(to io.WriteCloser) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		_ = to.Close() // nothing was written to it
		return
	}
	close(w.out.stop)
	w.spare, w.writing, w.failure = nil, nil, nil // they are the other's
	w.use(to)
	w.more.Broadcast()
}

func (w *Writer) use(to io.WriteCloser) {
	out := &output{to: to, stop: make(chan struct{})}
	w.out = out
	w.left.Go(func() { w.run(out) })
}

// Dropped returns how many lines were dropped ever.
func (w *Writer) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Write takes lines. It does not fail.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.pending)+len(p) > Size {
		w.drop(uint64(bytes.Count(p, newline)))
		return len(p), nil
	}
	w.pending = append(w.pending, p...)
	w.more.Signal()
	return len(p), nil
}

var newline = []byte{'\n'}

// drop counts lines. It is called with mu held, as all below.
func (w *Writer) drop(lines uint64) {
	w.dropped += lines
	w.lines += lines
	if now := time.Now(); !w.told && w.events.Begun != nil && !w.closed && now.Sub(w.last) >= pause {
		w.told, w.last = true, now
		why := w.failure
		w.left.Go(func() { w.events.Begun(why) })
	}
}

// caughtUp says how many lines were dropped, if none are any more.
func (w *Writer) caughtUp() {
	now := time.Now()
	if w.lines == 0 || len(w.pending) > Size/2 || !w.told && now.Sub(w.last) < pause {
		return
	}
	if lines := w.lines; w.events.Ended != nil {
		w.left.Go(func() { w.events.Ended(lines) })
	}
	w.told, w.lines, w.last = false, 0, now
}

// run writes what is pending, until another output takes over or the Writer is closed
// and everything was tried.
func (w *Writer) run(out *output) {
	defer func() { _ = out.to.Close() }() // what was written, was; there is no other place for the rest
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.pending) == 0 && w.out == out && !w.closed {
			w.more.Wait()
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
			w.pending = append(rest, w.pending...)
			w.more.Signal()
			return
		case len(rest) > 0: // and no time left
			w.drop(uint64(bytes.Count(rest, newline)))
			return
		}
		w.spare = taken[:0]
		w.caughtUp()
	}
}

// write writes lines, again and again if it must, until out is not the output any
// more or the Writer is closed; then it returns what is left, from the beginning of a
// line. It releases mu meanwhile.
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
		w.mu.Unlock()
		t := time.NewTimer(retry)
		select {
		case <-t.C:
		case <-out.stop:
		}
		t.Stop()
		w.mu.Lock()
	}
}

// Close writes what is pending and closes the file, within a time. It returns how many
// lines were dropped for that, or are still being written. What comes later is dropped.
func (w *Writer) Close(within time.Duration) (lost uint64) {
	w.mu.Lock()
	before := w.dropped
	if !w.closed {
		w.closed = true
		close(w.out.stop)
		w.more.Broadcast()
	}
	w.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		w.left.Wait()
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

package cgiserver

import (
	"bufio"
	"io"
	"os"
	"sync"
	"time"
)

// stdinBuffer is how much of a body waits for the handler, in bytes.
const stdinBuffer = 64 << 10

// stdin is the body of a request. The goroutine that reads the connection feeds it, and the
// handler reads it.
type stdin struct {
	mu       sync.Mutex
	buf      []byte // what the handler has not read is buf[off:]
	off      int
	err      error // io.EOF: the body has ended, other errors: it is cut; after what is in buf
	deadline time.Time
	over     bool // the handler has returned

	readable chan struct{} // has one if there is something new for Read
	writable chan struct{} // has one if there is something new for feed
}

func newStdin() *stdin {
	return &stdin{readable: make(chan struct{}, 1), writable: make(chan struct{}, 1)}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has one
	}
}

// Read implements io.Reader. Its deadline is that of setDeadline.
func (s *stdin) Read(p []byte) (int, error) {
	for {
		s.mu.Lock()
		deadline, now := s.deadline, time.Time{}
		if !deadline.IsZero() {
			now = time.Now()
		}
		switch {
		case !deadline.IsZero() && !now.Before(deadline):
			s.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case s.off < len(s.buf):
			n := copy(p, s.buf[s.off:])
			if s.off += n; s.off == len(s.buf) {
				s.buf, s.off = s.buf[:0], 0
			}
			s.mu.Unlock()
			poke(s.writable)
			return n, nil
		case s.err != nil:
			s.mu.Unlock()
			return 0, s.err
		}
		s.mu.Unlock()
		if deadline.IsZero() {
			<-s.readable
			continue
		}
		t := time.NewTimer(deadline.Sub(now))
		select {
		case <-s.readable:
		case <-t.C:
		}
		t.Stop()
	}
}

// Close implements io.Closer: nothing more is read.
func (s *stdin) Close() error {
	s.mu.Lock()
	s.buf, s.off, s.over = nil, 0, true
	if s.err == nil {
		s.err = os.ErrClosed
	}
	s.mu.Unlock()
	poke(s.readable)
	poke(s.writable)
	return nil
}

// setDeadline sets the deadline of Read, also of one under way.
func (s *stdin) setDeadline(t time.Time) {
	s.mu.Lock()
	s.deadline = t
	s.mu.Unlock()
	poke(s.readable)
}

// room waits until there is room for something of the body, and returns for how many bytes. 0:
// the handler does not want more, now or ever.
func (s *stdin) room() int {
	for {
		s.mu.Lock()
		n, over := stdinBuffer-(len(s.buf)-s.off), s.over || s.err != nil
		s.mu.Unlock()
		switch {
		case over:
			return 0
		case n > 0:
			return n
		}
		<-s.writable
	}
}

// takes reports whether n bytes of the body are received without waiting for the handler.
func (s *stdin) takes(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over || s.err != nil || len(s.buf)-s.off+n <= stdinBuffer
}

// feed adds p to the body.
func (s *stdin) feed(p []byte) {
	s.mu.Lock()
	if !s.over {
		if s.off > 0 && len(s.buf)+len(p) > cap(s.buf) {
			s.buf, s.off = append(s.buf[:0], s.buf[s.off:]...), 0
		}
		s.buf = append(s.buf, p...)
	}
	s.mu.Unlock()
	poke(s.readable)
}

// receive moves n bytes of the body from in to the handler, and waits for the handler while
// there is no room. What the handler does not want is dropped.
func (s *stdin) receive(in *bufio.Reader, n int) error {
	for n > 0 {
		room := s.room()
		if room == 0 {
			_, err := in.Discard(n)
			return err
		}
		if _, err := in.Peek(1); err != nil {
			return err
		}
		p, err := in.Peek(min(n, room, in.Buffered()))
		if err != nil {
			return err
		}
		s.feed(p)
		n -= len(p)
		_, _ = in.Discard(len(p)) // they are buffered
	}
	return nil
}

// end ends the body: with io.EOF if it is complete.
func (s *stdin) end(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	poke(s.readable)
	poke(s.writable)
}

// body is a request's body of a known length.
type body struct {
	*stdin
	left int64 // bytes
}

// Read implements io.Reader. What comes beyond the length is not read, and a body that is
// shorter ends with io.ErrUnexpectedEOF.
func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.stdin.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err == io.EOF && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

package spool

import (
	"fmt"
	"io"
)

// Buffer holds one body that is written once, by one goroutine, and then read
// from the start as often as needed. It is in memory up to the Store's
// configured Buffer, and in a file as a whole beyond that.
//
// Reading and Close may go on in any goroutines at any time.
type Buffer struct {
	holding // chunk is non-nil while the content is in memory and not empty

	limit int64
	n     int64 // bytes written
	err   error // what the first failed Write reported; there would be a hole after it
}

// NewBuffer returns an empty Buffer that takes up to limit bytes; any number if
// limit is negative. The caller must Close it.
func (s *Store) NewBuffer(limit int64) *Buffer {
	b := &Buffer{limit: limit}
	b.init(s)
	return b
}

// Len returns how many bytes were written.
func (b *Buffer) Len() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}

// Write appends all of p or nothing. It fails with ErrTooLarge over the limit,
// ErrDiskFull over the disk budget, ErrClosed after Close, or an error of the
// operating system. After an error every Write fails with it, and what was
// written before can still be read.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, ErrClosed
	}
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if b.err = b.add(p); b.err != nil {
		return 0, b.err
	}
	b.n += int64(len(p))
	return len(p), nil
}

func (b *Buffer) add(p []byte) error {
	size := b.n + int64(len(p))
	if b.limit >= 0 && size > b.limit {
		return fmt.Errorf("%w of %d bytes", ErrTooLarge, b.limit)
	}
	if b.file == nil && b.fitMemory(size) {
		copy(b.chunk.data[b.n:], p)
		return nil
	}
	// The last byte is not covered unless everything before it is.
	if b.charge(size-1, 1) == 0 {
		return b.store.diskFull()
	}
	if b.chunk != nil {
		if _, err := b.writeAt(b.chunk.data[:b.n], 0); err != nil {
			return err
		}
	}
	if _, err := b.writeAt(p, b.n); err != nil {
		return err
	}
	// Readers used the chunk until now.
	b.dropChunk()
	return nil
}

// fitMemory makes the chunk large enough for size bytes, if the budgets allow.
func (b *Buffer) fitMemory(size int64) bool {
	if size > int64(b.store.config.Buffer) {
		return false
	}
	if b.chunk != nil && size <= int64(len(b.chunk.data)) {
		return true
	}
	c := b.store.takeChunk(int(size))
	if c == nil {
		return false
	}
	if b.chunk != nil {
		copy(c.data, b.chunk.data[:b.n])
		b.dropChunk()
	}
	b.chunk = c
	return true
}

// ReadFrom appends everything that r returns until io.EOF. While it waits for r
// it holds one chunk, a small one unless r is fast and the memory budget has
// room.
func (b *Buffer) ReadFrom(r io.Reader) (n int64, err error) {
	s := newScratch(b.store)
	defer s.free()
	for empty := 0; ; {
		m, err := r.Read(s.data)
		n += int64(m)
		if _, werr := b.Write(s.data[:m]); werr != nil {
			return n - int64(m), werr
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if m > 0 {
			empty = 0
		} else if empty++; empty == 100 {
			return n, io.ErrNoProgress
		}
		if m == len(s.data) {
			s.grow()
		}
	}
}

// Bytes returns the whole content without copying it, if it is in memory. The
// slice must not be modified, nor used after Close or the next Write.
func (b *Buffer) Bytes() ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, false
	}
	if b.chunk != nil {
		return b.chunk.data[:b.n:b.n], true
	}
	return nil, b.n == 0
}

// NewReader returns a reader of the content from the start, with a position of
// its own. It returns io.EOF after what was written so far and ErrClosed after
// Close.
func (b *Buffer) NewReader() io.Reader {
	return &bufferReader{b: b}
}

type bufferReader struct {
	b   *Buffer
	off int64
}

func (r *bufferReader) Read(p []byte) (int, error) {
	n, err := r.b.readFrom(p, r.off)
	r.off += int64(n)
	return n, err
}

func (b *Buffer) readFrom(p []byte, off int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off == b.n {
		return 0, io.EOF
	}
	if b.chunk != nil {
		return copy(p, b.chunk.data[off:b.n]), nil
	}
	return b.readAt(p[:min(int64(len(p)), b.n-off)], off)
}

// Close gives back memory, file and budget. It waits for disk I/O in flight, not
// for a ReadFrom that waits for its source: that keeps its one chunk until it
// returns. Close may be called more than once; the error is that of closing the
// file.
func (b *Buffer) Close() error { return b.close() }

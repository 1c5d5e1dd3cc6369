package spool

import (
	"fmt"
	"io"
)

// Buffer holds one body, which one goroutine writes once, and which may then be read from the start any
// number of times. A body of up to Config.Buffer bytes is in memory, a larger one in a file; while
// nothing can be written to disk, further bytes are in memory as well.
//
// Read and Close may be called from any goroutine at any time.
type Buffer struct {
	holding

	limit  int64
	n      int64 // bytes written
	inFile int64 // how many of these are in the file; the rest is in the chunks
	err    error // the error of the first failed Write; later ones would leave a gap
}

// NewBuffer returns an empty Buffer for a request body of at most limit bytes, of any size if limit is
// negative. The caller must Close it.
func (s *Store) NewBuffer(o Owner, limit int64) *Buffer {
	b := &Buffer{limit: limit}
	b.init(s, b, request, o)
	return b
}

// Len returns how many bytes were written.
func (b *Buffer) Len() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}

// Write appends all of p or nothing. The error is ErrTooLarge over the limit, ErrDiskFull or ErrDisk
// without room, ErrCut if the body was cut, and ErrClosed after Close. All later Writes return the same
// error. The bytes written before can still be read, except after ErrCut.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, b.closedError()
	}
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	defer b.dropWanted() // there may have been memory, after all
	if b.err = b.add(p); b.err != nil {
		return 0, b.err
	}
	b.n += int64(len(p))
	if b.inFile > 0 {
		b.claim.pace.add(len(p))
	}
	return len(p), nil
}

func (b *Buffer) add(p []byte) error {
	size := b.n + int64(len(p))
	if b.over(size) {
		return b.tooLarge()
	}
	if b.inFile == 0 && b.fitChunk(size) {
		copy(b.chunks[0].data[b.n:], p)
		return nil
	}
	for {
		switch {
		case b.toFile(p, size):
			return nil
		case b.closed:
			return b.closedError()
		case b.toMemory(p):
			return nil
		case !b.makeRoom(size - b.disk):
			return b.store.refuse(b.owner.Client)
		case b.closed:
			return b.closedError()
		}
	}
}

// over reports whether size exceeds the limit.
func (b *Buffer) over(size int64) bool { return b.limit >= 0 && size > b.limit }

func (b *Buffer) tooLarge() error {
	return fmt.Errorf("%w of %d bytes", ErrTooLarge, b.limit)
}

// fitChunk makes the only chunk large enough for size bytes, if the budgets permit that. A page is not
// charged.
func (b *Buffer) fitChunk(size int64) bool {
	if len(b.chunks) > 1 || size > int64(b.store.config.Buffer) {
		return false
	}
	if len(b.chunks) == 1 && size <= int64(len(b.chunks[0].data)) {
		return true
	}
	var c *chunk
	if size <= int64(b.store.classes[0].size) {
		c = b.store.takePage()
	} else {
		c = b.store.takeChunk(&b.holding, int(size))
	}
	if c == nil {
		return false
	}
	if len(b.chunks) == 1 {
		copy(c.data, b.chunks[0].data[:b.n])
		b.dropChunks()
	}
	b.chunks = append(b.chunks, c)
	return true
}

// room returns how many bytes fit into the last chunk.
func (b *Buffer) room() int {
	room := b.inFile - b.n
	for _, c := range b.chunks {
		room += int64(len(c.data))
	}
	return int(room)
}

// toFile moves the bytes in memory to the file and appends p; the file then has size bytes. It returns
// false, and has changed nothing, if that is impossible.
func (b *Buffer) toFile(p []byte, size int64) bool {
	// If the last byte is covered by the budget, all bytes are.
	if b.charge(size-1, 1) == 0 {
		return false
	}
	off := b.inFile
	left := b.n - b.inFile
	for _, c := range b.chunks {
		part := c.data[:min(left, int64(len(c.data)))]
		if _, err := b.writeAt(part, off); err != nil {
			return false
		}
		off += int64(len(part))
		left -= int64(len(part))
	}
	if _, err := b.writeAt(p, off); err != nil {
		return false
	}
	// Until here, readers use the chunks.
	b.inFile = size
	b.dropChunks()
	return true
}

// toMemory appends p in further chunks of memory. It reports whether there was room. It is tried before
// other bodies are cut.
func (b *Buffer) toMemory(p []byte) bool {
	had := len(b.chunks)
	for room := b.room(); room < len(p); {
		c := b.store.takeChunk(&b.holding, len(p)-room)
		if c == nil {
			for _, c := range b.chunks[had:] {
				b.store.giveChunk(c)
			}
			clear(b.chunks[had:])
			b.chunks = b.chunks[:had]
			return false
		}
		b.chunks = append(b.chunks, c)
		room += len(c.data)
	}
	for end := b.n - b.inFile; len(p) > 0; {
		at, off := b.locate(end)
		n := copy(b.chunks[at].data[off:], p)
		p = p[n:]
		end += int64(n)
	}
	return true
}

// locate returns the position of offset off in the chunks.
func (b *Buffer) locate(off int64) (chunk int, at int64) {
	for i, c := range b.chunks {
		if off < int64(len(c.data)) {
			return i, off
		}
		off -= int64(len(c.data))
	}
	return len(b.chunks), 0
}

// Bytes returns the content without a copy, if it is in memory in one piece. The slice must not be
// modified, nor used after Close or the next Write.
func (b *Buffer) Bytes() ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, false
	case b.n == 0:
		return nil, true
	case b.inFile == 0 && len(b.chunks) == 1:
		return b.chunks[0].data[:b.n:b.n], true
	}
	return nil, false
}

// NewReader returns a reader of the content from the start. It returns io.EOF after the bytes written so
// far, and ErrClosed after Close.
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
	switch {
	case b.closed:
		return 0, b.closedError()
	case len(p) == 0:
		return 0, nil
	case off == b.n:
		return 0, io.EOF
	case off < b.inFile:
		return b.readAt(p[:min(int64(len(p)), b.inFile-off)], off)
	}
	i, at := b.locate(off - b.inFile)
	rest := b.n - off
	from := b.chunks[i].data[at:]
	return copy(p, from[:min(int64(len(from)), rest)]), nil
}

// Close releases memory, file and budget. It waits for disk I/O in progress, but not for a ReadFrom that
// waits for its source: ReadFrom keeps its page until it returns. Close may be called more than once. Its
// error is that of closing the file.
func (b *Buffer) Close() error { return b.close() }

func (b *Buffer) wakeWriter() {} // Write never waits

package upstream

// Buffer holds the bytes that were read from a connection and are not decoded yet. Reset
// prepares it.
type Buffer struct {
	decoder  Decoder
	size     int
	buf      []byte // buf[r:w] is not decoded yet; allocated by the first Space
	r, w     int
	received int64
}

// largePart is how much of an event's data must be to come for a read to end with it, in bytes. Otherwise a
// large answer would come in twice as many pieces: what was left of one record, and the beginning of the next.
const largePart = 32 << 10

// Reset prepares the buffer for a new connection. Size is how many bytes it holds; memory
// of that size is kept.
func (b *Buffer) Reset(d Decoder, size int) {
	if len(b.buf) != size {
		b.buf = nil
	}
	*b = Buffer{decoder: d, size: size, buf: b.buf}
}

// Grow makes the buffer hold size bytes, which is no less than before.
func (b *Buffer) Grow(size int) {
	grown := make([]byte, size)
	b.w = copy(grown, b.buf[b.r:b.w])
	b.buf, b.size, b.r = grown, size, 0
}

// Begin announces a request; see [Decoder.Begin].
func (b *Buffer) Begin(id uint16, r *Request) { b.decoder.Begin(id, r) }

// Next decodes the next event. Its Kind is 0 if more bytes must be read first.
func (b *Buffer) Next() (Event, error) {
	ev, rest, err := b.decoder.Next(b.buf[b.r:b.w])
	b.r = b.w - len(rest)
	return ev, err
}

// Space returns the memory for the next read. After Next has returned no event, it is not
// empty.
func (b *Buffer) Space() []byte {
	switch {
	case b.buf == nil:
		b.buf = make([]byte, b.size)
	case b.r > 0:
		b.w = copy(b.buf, b.buf[b.r:b.w])
		b.r = 0
	}
	space := b.buf[b.w:]
	if d, ok := b.decoder.(Expecter); ok {
		if n := d.Expects(); n >= largePart && n < len(space) {
			return space[:n]
		}
	}
	return space
}

// Filled says that n bytes were read into Space.
func (b *Buffer) Filled(n int) {
	b.w += n
	b.received += int64(n)
}

// Discard drops the bytes that are not decoded yet.
func (b *Buffer) Discard() { b.r, b.w = 0, 0 }

// EOF is called at the end of the connection; see [Decoder.EOF].
func (b *Buffer) EOF() Event { return b.decoder.EOF() }

// Received is the number of bytes that have been read since Reset.
func (b *Buffer) Received() int64 { return b.received }

// Clean reports whether all bytes are decoded, and the last event is complete.
func (b *Buffer) Clean() bool { return b.r == b.w && b.decoder.Clean() }

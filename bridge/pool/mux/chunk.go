package mux

import (
	"encoding/binary"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Memory is a budget of memory, in bytes. Its methods may be called concurrently.
type Memory interface {
	Reserve(n int) bool // reports whether there was room; if not, nothing is reserved
	Release(n int)
}

const (
	// chunkMin is the size of a chunk that is not charged. Each stream may have one, so
	// that every answer arrives, however slowly, when there is no memory left.
	chunkMin = 2 << 10
	// chunkSmall is the size of the largest chunk that grows step by step. What needs more than
	// that is a large answer, and gets a chunk of streamBuffer bytes at once.
	chunkSmall = 16 << 10
	// eventHeaderLen is the size of an event's header in a chunk: its kind, and the length
	// of its data, which follows.
	eventHeaderLen = 4
)

// chunk holds events that have come. A connection keeps chunks for the next stream, so a
// stream that waits for its answer holds none.
type chunk struct {
	b       []byte
	charged int
}

// event returns the event at an offset, without its ID and Err, and the offset of the next
// event.
func (ch *chunk) event(at int) (upstream.Event, int) {
	header := binary.BigEndian.Uint32(ch.b[at:])
	at += eventHeaderLen
	end := at + int(header&0xffffff)
	return upstream.Event{Kind: upstream.Kind(header >> 24), Data: ch.b[at:end:end]}, end
}

func (c *Conn) newChunk() *chunk {
	if ch, ok := c.chunks.Get().(*chunk); ok {
		if c.charge(ch, cap(ch.b)) {
			return ch
		}
		c.chunks.Put(ch)
	}
	return &chunk{b: make([]byte, 0, chunkMin)}
}

// charge charges for a chunk of a size, and reports whether there was memory.
func (c *Conn) charge(ch *chunk, size int) bool {
	more := size - chunkMin - ch.charged
	if more > 0 && !c.cfg.Memory.Reserve(more) {
		return false
	}
	ch.charged += max(0, more)
	return true
}

// add appends an event to a chunk that may grow to limit bytes. If there is not enough
// room, it appends an event with the first n bytes of the data. It reports whether these
// are all.
func (c *Conn) add(ch *chunk, k upstream.Kind, data []byte, limit int) (n int, whole bool) {
	n = min(len(data), c.room(ch, eventHeaderLen+len(data), limit)-eventHeaderLen)
	if n < min(1, len(data)) {
		return 0, false
	}
	ch.b = binary.BigEndian.AppendUint32(ch.b, uint32(k)<<24|uint32(n))
	ch.b = append(ch.b, data[:n]...)
	return n, n == len(data)
}

// room grows a chunk for n more bytes, if memory allows, and returns how many it can hold.
func (c *Conn) room(ch *chunk, n, limit int) int {
	if want := min(len(ch.b)+n, limit); want > cap(ch.b) {
		size := min(max(2*cap(ch.b), want), limit)
		if size > chunkSmall {
			size = limit
		}
		if c.charge(ch, size) {
			c.grow(ch, size)
		}
	}
	return min(cap(ch.b), limit) - len(ch.b)
}

// grow gives a chunk memory of a size, that of a large chunk which is not used if there is one.
func (c *Conn) grow(ch *chunk, size int) {
	if size > chunkSmall {
		if large, ok := c.large.Get().(*chunk); ok {
			ch.b, large.b = append(large.b, ch.b...), ch.b[:0]
			c.chunks.Put(large) // which has the small memory now
			return
		}
	}
	ch.b = append(make([]byte, 0, size), ch.b...)
}

// free takes a chunk back.
func (c *Conn) free(ch *chunk) {
	if ch == nil {
		return
	}
	if ch.charged > 0 {
		c.cfg.Memory.Release(ch.charged)
		ch.charged = 0
	}
	ch.b = ch.b[:0]
	if cap(ch.b) <= chunkSmall {
		c.chunks.Put(ch)
	} else {
		c.large.Put(ch)
	}
}

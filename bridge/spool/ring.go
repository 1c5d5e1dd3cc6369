package spool

// ring is a first-in, first-out queue of bytes in a fixed piece of memory.
type ring struct {
	data  []byte
	start int // the oldest byte
	n     int // bytes queued
}

// write queues as many bytes of b as there is room for.
func (r *ring) write(b []byte) (n int) {
	for n < len(b) && r.n < len(r.data) {
		at := (r.start + r.n) % len(r.data)
		m := copy(r.data[at:min(len(r.data), at+len(r.data)-r.n)], b[n:])
		r.n += m
		n += m
	}
	return n
}

// read removes the oldest bytes, at most len(b), and copies them to b.
func (r *ring) read(b []byte) (n int) {
	for n < len(b) && r.n > 0 {
		m := copy(b[n:], r.data[r.start:min(len(r.data), r.start+r.n)])
		r.start = (r.start + m) % len(r.data)
		r.n -= m
		n += m
	}
	return n
}

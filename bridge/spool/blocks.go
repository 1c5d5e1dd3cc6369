package spool

// blockSize is the unit in which a Pipe reuses its file: large enough that its
// bookkeeping is nothing, small enough that a file is hardly larger than what is
// unread in it.
const blockSize = 256 << 10

// blocks knows where in a Pipe's file the unread bytes are. A block that was read
// is free to be written again; the file grows only when none is.
type blocks struct {
	live   []block // in the order in which they are read; the last is being written
	head   int     // bytes of live's first block that were read
	unread int64
	free   []int64 // offsets in the file
	end    int64   // where the next new block begins
}

type block struct {
	off int64 // in the file
	n   int   // bytes written, below blockSize if the disk budget was used up
}

// tail returns where in the file the last block goes on, and how many bytes it
// has room for.
func (q *blocks) tail() (off int64, n int) {
	if len(q.live) == 0 {
		return 0, 0
	}
	last := q.live[len(q.live)-1]
	return last.off + int64(last.n), blockSize - last.n
}

// spare returns the offset of the block that add would take.
func (q *blocks) spare() int64 {
	if n := len(q.free); n > 0 {
		return q.free[n-1]
	}
	return q.end
}

// add makes the spare block the last one.
func (q *blocks) add() {
	q.live = append(q.live, block{off: q.spare()})
	if n := len(q.free); n > 0 {
		q.free = q.free[:n-1]
	} else {
		q.end += blockSize
	}
}

// wrote makes the next n bytes of the last block readable.
func (q *blocks) wrote(n int) {
	q.live[len(q.live)-1].n += n
	q.unread += int64(n)
}

// next returns where the oldest unread bytes are and how many lie there.
func (q *blocks) next() (off int64, n int) {
	return q.live[0].off + int64(q.head), q.live[0].n - q.head
}

// consumed drops the n oldest unread bytes, at most what next returned, and
// frees their block if it was the last of them and nothing will follow in it.
func (q *blocks) consumed(n int) {
	q.head += n
	q.unread -= int64(n)
	if first := q.live[0]; q.head == first.n && (len(q.live) > 1 || first.n == blockSize) {
		q.free = append(q.free, first.off)
		q.live = q.live[1:]
		q.head = 0
	}
}

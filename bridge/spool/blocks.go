package spool

// blockSize is the unit in which a Pipe reuses its file: large enough that the bookkeeping costs almost
// nothing, small enough that a file is hardly larger than its unread bytes.
const blockSize = 256 << 10

// blocks has the positions of the unread bytes in a Pipe's file. A block that was read can be written
// again; the file grows only if no block is free.
type blocks struct {
	live   []block // in reading order; the last is being written
	head   int     // bytes read of the first block of live
	unread int64
	free   []int64 // offsets in the file
	end    int64   // the offset of the next new block
}

type block struct {
	off int64 // in the file
	n   int   // bytes written; less than blockSize if the disk budget was used up
}

// tail returns the offset for further bytes in the last block, and how many it has room for.
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

// add appends the spare block.
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

// next returns the offset and number of the oldest contiguous unread bytes.
func (q *blocks) next() (off int64, n int) {
	return q.live[0].off + int64(q.head), q.live[0].n - q.head
}

// consumed drops the n oldest unread bytes, at most as many as next returned. It frees their block if it
// is empty and no more will be written to it.
func (q *blocks) consumed(n int) {
	q.head += n
	q.unread -= int64(n)
	if first := q.live[0]; q.head == first.n && (len(q.live) > 1 || first.n == blockSize) {
		q.free = append(q.free, first.off)
		q.live = q.live[1:]
		q.head = 0
	}
}

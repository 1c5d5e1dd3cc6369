package spool

import (
	"io"
	"time"
)

// Pipe is a first-in, first-out queue between one writing and one reading goroutine. Unread bytes are in
// memory, then in a file, then in a waiting Write. When the reader has caught up, the file is closed and
// the pipe is in memory again; while the reader lags behind, blocks of the file that were read are reused.
// So a fast reader never causes disk I/O, and a transfer of any size needs only as much disk as the reader
// lags behind.
//
// CloseWrite and Close may be called from any goroutine at any time.
type Pipe struct {
	holding // its only chunk is the ring's memory; none while the ring is empty

	// The unread bytes, oldest first, are in got, ring, blocks, offered. Bytes in the ring are older
	// than bytes in the file, so Write uses the ring only while the file has no unread bytes.
	wanted  []byte // the buffer of a waiting Read; nil if none waits
	got     int    // bytes that a Write has copied to wanted
	ring    ring
	blocks  blocks
	offered []byte // the remaining bytes of a waiting Write; nil if none waits

	maxWait  time.Duration // how long one Write may wait in all; 0: without limit
	emptying bool          // the file is being closed: Write must not use it
	room     chan struct{} // wakes a waiting Write; created by the first that has to wait
	end      error         // returned by Read at the end; nil until CloseWrite
}

// NewPipe returns an empty Pipe for an answer, whose Write waits for room without limit. The reading side
// must Close it.
func (s *Store) NewPipe(o Owner) *Pipe {
	p := new(Pipe)
	p.init(s, p, answer, o)
	return p
}

// NewImpatientPipe is NewPipe, but a Write that has waited for d in all returns ErrDiskFull or ErrDisk. It
// is for writers that must not delay other requests.
func (s *Store) NewImpatientPipe(o Owner, d time.Duration) *Pipe {
	p := s.NewPipe(o)
	p.maxWait = d
	return p
}

// Len returns how many unread bytes are in memory and on disk.
func (p *Pipe) Len() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.ring.n) + p.blocks.unread
}

// Write queues b. If both budgets are used up, or nothing can be written to disk, it waits until there is
// room or the reader has taken the bytes directly. The error is ErrClosed after either side was closed, and
// ErrCut after the pipe was cut; n bytes were queued.
func (p *Pipe) Write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.dropWanted() // the reader may have taken bytes for which room was made
	var freed <-chan struct{}
	var late <-chan time.Time
	ask := false // whether to cut another body
	for {
		if p.closed || p.end != nil {
			return n, p.closedError()
		}
		if n == len(b) {
			return n, nil
		}
		m := p.enqueue(b[n:])
		n += m
		switch {
		case m > 0:
			freed, ask = nil, false
		case ask && p.makeRoom(int64(min(len(b)-n, blockSize))):
			freed = nil
		case freed == nil:
			p.dropWanted() // it was not enough
			// Try once more after this: a release before whenFreed would go unnoticed.
			freed, ask = p.store.whenFreed(), false
		case p.maxWait > 0 && late == nil:
			t := time.NewTimer(p.maxWait)
			defer t.Stop()
			late = t.C
			fallthrough
		default:
			var end waitEnd
			m, end = p.offer(b[n:], freed, late)
			n += m
			if end == tooLate {
				return n, p.store.refuse(p.owner.Client)
			}
			freed, ask = nil, end == tryAgain
		}
	}
}

// enqueue queues a part of b. It returns 0 only if there is no room for any byte.
func (p *Pipe) enqueue(b []byte) int {
	if n := p.toReader(b); n > 0 {
		return n
	}
	if n := p.toRing(b); n > 0 {
		return n
	}
	return p.toFile(b)
}

// toReader copies to a waiting Read, so that nothing else in Write needs to wake it. Bytes may be queued
// nevertheless: those whose disk I/O has ended after the Read began to wait and before it woke up.
func (p *Pipe) toReader(b []byte) int {
	if p.wanted == nil || p.got > 0 || p.ring.n > 0 || p.blocks.unread > 0 {
		return 0
	}
	p.got = copy(p.wanted, b)
	p.changed.Broadcast()
	return p.got
}

func (p *Pipe) toRing(b []byte) int {
	if p.blocks.unread > 0 {
		return 0
	}
	p.fitRing(p.ring.n + len(b))
	return p.ring.write(b)
}

// fitRing makes the ring large enough for size bytes, or as large as permitted, if the budget has room.
func (p *Pipe) fitRing(size int) {
	size = min(size, p.store.config.Buffer)
	if size <= len(p.ring.data) {
		return
	}
	c := p.store.takeChunk(&p.holding, size)
	if c == nil {
		return
	}
	n := p.ring.read(c.data)
	p.dropChunks()
	p.chunks, p.ring = append(p.chunks, c), ring{data: c.data, n: n}
}

// toFile writes a part of b to the file. After an error, which the store records, nothing was queued, as
// without room: a failing disk must not lose the answer.
func (p *Pipe) toFile(b []byte) int {
	if p.emptying {
		return 0
	}
	off, n := p.blocks.tail()
	if n = p.charge(off, min(n, len(b))); n == 0 {
		off = p.blocks.spare()
		if n = p.charge(off, min(blockSize, len(b))); n == 0 {
			return 0
		}
		p.blocks.add()
	}
	n, err := p.writeAt(b[:n], off)
	if err != nil {
		n = 0 // how much was written is not known
	}
	p.blocks.wrote(n)
	p.emptyFile()
	return n
}

// waitEnd is the reason why a wait for room has ended.
type waitEnd int

const (
	somethingChanged waitEnd = iota // room was released, the reader has read, or a side was closed
	tryAgain                        // retryDisk has passed: files may be writable again, or another body may be cut
	tooLate
)

// offer waits until the reader has taken a part of b, there may be room, a side was closed, or late
// fires. It returns how many bytes the reader has taken.
func (p *Pipe) offer(b []byte, freed <-chan struct{}, late <-chan time.Time) (n int, end waitEnd) {
	if p.room == nil {
		p.room = make(chan struct{}, 1)
	}
	p.offered = b
	p.mu.Unlock()
	again := time.NewTimer(retryDisk)
	select {
	case <-p.room:
	case <-freed:
	case <-again.C:
		end = tryAgain
	case <-late:
		end = tooLate
	}
	again.Stop()
	p.mu.Lock()
	n = len(b) - len(p.offered)
	p.offered = nil
	return n, end
}

// CloseWrite ends the stream: after the queued bytes, Read returns err, or io.EOF if err is nil. Only the
// first call has an effect.
func (p *Pipe) CloseWrite(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end != nil {
		return
	}
	p.end = err
	if err == nil {
		p.end = io.EOF
	}
	p.changed.Broadcast()
	p.wakeWriter()
}

// Read returns up to len(b) queued bytes, and waits if there are none. At the end it returns the error of
// CloseWrite; after Close, ErrClosed.
func (p *Pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.closed:
			return 0, p.closedError()
		case len(b) == 0:
			return 0, nil
		case p.ring.n > 0:
			return p.fromRing(b), nil
		case p.blocks.unread > 0:
			return p.fromFile(b)
		case len(p.offered) > 0:
			return p.fromWriter(b), nil
		case p.end != nil:
			return 0, p.end
		}
		if n := p.await(b); n > 0 {
			return n, nil
		}
	}
}

// await waits for a change. It returns how many bytes a Write has copied to b.
func (p *Pipe) await(b []byte) int {
	p.wanted = b
	p.changed.Wait()
	n := p.got
	p.wanted, p.got = nil, 0
	return n
}

func (p *Pipe) fromRing(b []byte) int {
	n := p.ring.read(b)
	if p.ring.n == 0 {
		p.ring = ring{}
		p.dropChunks()
	}
	p.addPace(n)
	p.wakeWriter()
	return n
}

func (p *Pipe) fromFile(b []byte) (int, error) {
	off, n := p.blocks.next()
	n, err := p.readAt(b[:min(n, len(b))], off)
	p.blocks.consumed(n)
	p.addPace(n)
	p.emptyFile()
	p.wakeWriter()
	return n, err
}

// addPace records that the reader has taken n bytes.
func (p *Pipe) addPace(n int) {
	if p.disk > 0 {
		p.claim.pace.add(n)
	}
}

func (p *Pipe) fromWriter(b []byte) int {
	n := copy(b, p.offered)
	p.offered = p.offered[n:]
	p.wakeWriter()
	return n
}

// emptyFile closes the file if all its bytes were read and the other side does not use it.
func (p *Pipe) emptyFile() {
	if p.blocks.unread > 0 || p.io > 0 || p.disk == 0 || p.closed {
		return
	}
	p.blocks = blocks{}
	p.emptying = true
	p.dropFile()
	p.emptying = false
}

// wakeWriter wakes a waiting Write.
func (p *Pipe) wakeWriter() {
	if p.offered == nil {
		return
	}
	select {
	case p.room <- struct{}{}:
	default: // already woken
	}
}

// Close discards the queued bytes, ends Read and Write with ErrClosed, and releases memory, file and
// budget. It waits for disk I/O in progress. It may be called more than once. Its error is that of closing
// the file.
func (p *Pipe) Close() error { return p.close() }

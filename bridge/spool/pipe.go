package spool

import (
	"io"
	"time"
)

// Pipe is a first-in, first-out queue between one goroutine that writes and one
// that reads. What the reader has not taken yet is in memory, then in a file,
// then with a Write that waits. Once the reader has caught up the pipe is back
// in memory and its file is closed; while it lags behind, blocks of the file that
// were read are written again. So a fast reader never sees the disk, and a
// transfer of any size needs only as much of it as the reader ever lags behind.
//
// CloseWrite and Close may be called from any goroutine at any time.
type Pipe struct {
	holding // its one chunk is the ring's memory; none while the ring is empty

	// The unread bytes, oldest first, are got, ring, blocks, offered. What is in the
	// ring is older than what is in the file, so Write uses the ring only while the
	// file has nothing unread.
	wanted  []byte // where a waiting Read wants its bytes; non-nil exactly while one waits
	got     int    // bytes a Write has put there
	ring    ring
	blocks  blocks
	offered []byte // what a waiting Write has left; non-nil exactly while one waits

	patience time.Duration // how long one Write waits in all; 0: as long as it takes
	emptying bool          // the file is being emptied: Write must not use it
	room     chan struct{} // wakes a waiting Write; made by the first that has to wait
	end      error         // what Read returns at the end; nil until CloseWrite
}

// NewPipe returns an empty Pipe for an answer, whose Write waits for room as long
// as it takes. The reading side must Close it.
func (s *Store) NewPipe(o Owner) *Pipe {
	p := new(Pipe)
	p.init(s, p, answer, o)
	return p
}

// NewImpatientPipe is NewPipe, but a Write that has waited for d in all fails with
// ErrDiskFull or ErrDisk. It is for writers that others wait for.
func (s *Store) NewImpatientPipe(o Owner, d time.Duration) *Pipe {
	p := s.NewPipe(o)
	p.patience = d
	return p
}

// Len returns how many bytes wait in memory and on disk.
func (p *Pipe) Len() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.ring.n) + p.blocks.unread
}

// Write queues b. It waits only when both budgets are used up, or nothing can be
// written to disk, until there is room or the reader has taken the bytes directly.
// It fails with ErrClosed once either side is closed, and with ErrCut once the pipe
// was given up for others; n bytes were queued then.
func (p *Pipe) Write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.waive() // the reader may have taken what room was made for
	var freed <-chan struct{}
	var late <-chan time.Time
	ask := false // whether another body is to be given up for this one
	for {
		if p.closed || p.end != nil {
			return n, p.gone()
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
			// Try once more after this: budget given back before would go unnoticed.
			freed, ask = p.store.whenFreed(), false
		case p.patience > 0 && late == nil:
			t := time.NewTimer(p.patience)
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

// enqueue takes some of b, nothing only if there is no room for any of it.
func (p *Pipe) enqueue(b []byte) int {
	if n := p.toReader(b); n > 0 {
		return n
	}
	if n := p.toRing(b); n > 0 {
		return n
	}
	return p.toFile(b)
}

// toReader serves a Read that waits, so nothing else that Write does needs to
// wake it. Something may be queued all the same: bytes whose disk I/O ended
// after the Read began to wait and before it could wake up.
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

// fitRing makes the ring large enough for size bytes, or as large as it may
// become, if the budget allows.
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

// toFile writes some of b to the file. What goes wrong there is noted in the store,
// and no reason to lose the answer: nothing was queued then, so it is as if there
// were no room.
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
		n = 0 // how much of it is there is not said
	}
	p.blocks.wrote(n)
	p.emptyFile()
	return n
}

// waitEnd is why a wait for room has ended.
type waitEnd int

const (
	something waitEnd = iota // has changed
	tryAgain                 // what nobody announces: that files can be written, or others should go
	tooLate
)

// offer waits until the reader has taken some of b, or there may be room for it,
// or a side was closed, or until it is late. It returns how many bytes the reader
// took.
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

// CloseWrite ends the stream: after what is queued, Read returns err, io.EOF if
// that is nil. The first call counts.
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

// Read returns what is there, up to len(b) bytes, and waits if nothing is. At
// the end it returns what CloseWrite was given; after Close, ErrClosed.
func (p *Pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.closed:
			return 0, p.gone()
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

// await waits until something has changed. It returns how many bytes a Write has
// put into b meanwhile.
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
	p.moved(n)
	p.wakeWriter()
	return n
}

func (p *Pipe) fromFile(b []byte) (int, error) {
	off, n := p.blocks.next()
	n, err := p.readAt(b[:min(n, len(b))], off)
	p.blocks.consumed(n)
	p.moved(n)
	p.emptyFile()
	p.wakeWriter()
	return n, err
}

// moved notes that the reader has taken n bytes.
func (p *Pipe) moved(n int) {
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

// emptyFile gives the file back, once everything in it was read and the other side is not
// using it.
func (p *Pipe) emptyFile() {
	if p.blocks.unread > 0 || p.io > 0 || p.disk == 0 || p.closed {
		return
	}
	p.blocks = blocks{}
	p.emptying = true
	p.dropFile()
	p.emptying = false
}

// wakeWriter wakes a Write that waits.
func (p *Pipe) wakeWriter() {
	if p.offered == nil {
		return
	}
	select {
	case p.room <- struct{}{}:
	default: // already woken
	}
}

// Close discards what is queued, ends Read and Write with ErrClosed, and gives
// back memory, file and budget. It waits for disk I/O in flight. It may be
// called more than once; the error is that of closing the file.
func (p *Pipe) Close() error { return p.close() }

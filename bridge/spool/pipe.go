package spool

import (
	"io"
	"time"
)

// Pipe is a first-in, first-out queue between one goroutine that writes and one
// that reads. What the reader has not taken yet is in memory, then in a file,
// then with a Write that waits. Once the reader has caught up the pipe is back
// in memory and its file is empty; while it lags behind, blocks of the file that
// were read are written again. So a fast reader never sees the disk, and a
// transfer of any size needs only as much of it as the reader ever lags behind.
//
// CloseWrite and Close may be called from any goroutine at any time.
type Pipe struct {
	holding // chunk is the ring's memory; nil while the ring is empty

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

// NewPipe returns an empty Pipe whose Write waits for room as long as it takes. The reading side must Close it.
func (s *Store) NewPipe() *Pipe {
	p := new(Pipe)
	p.init(s)
	return p
}

// NewImpatientPipe is NewPipe, but a Write that has waited for d in all fails with
// ErrDiskFull. It is for writers that others wait for.
func (s *Store) NewImpatientPipe(d time.Duration) *Pipe {
	p := s.NewPipe()
	p.patience = d
	return p
}

// Len returns how many bytes wait in memory and on disk.
func (p *Pipe) Len() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.ring.n) + p.blocks.unread
}

// Write queues b. It waits only when both budgets are used up, until there is
// room or the reader has taken the bytes directly. It fails with ErrClosed once
// either side is closed, or with an error of the operating system; n bytes were
// queued then.
func (p *Pipe) Write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var freed <-chan struct{}
	var late <-chan time.Time
	for {
		if p.closed || p.end != nil {
			return n, ErrClosed
		}
		if n == len(b) {
			return n, nil
		}
		m, err := p.enqueue(b[n:])
		n += m
		if err != nil {
			return n, err
		}
		switch {
		case m > 0:
			freed = nil
		case freed == nil:
			// Try once more after this: budget given back before would go unnoticed.
			freed = p.store.whenFreed()
		case p.patience > 0 && late == nil:
			t := time.NewTimer(p.patience)
			defer t.Stop()
			late = t.C
			fallthrough
		default:
			m, inTime := p.offer(b[n:], freed, late)
			n += m
			if !inTime {
				return n, p.store.diskFull()
			}
			freed = nil
		}
	}
}

// enqueue takes some of b, nothing only if there is no room for any of it.
func (p *Pipe) enqueue(b []byte) (int, error) {
	if n := p.toReader(b); n > 0 {
		return n, nil
	}
	if n := p.toRing(b); n > 0 {
		return n, nil
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
	c := p.store.takeChunk(size)
	if c == nil {
		return
	}
	n := p.ring.read(c.data)
	p.dropChunk()
	p.chunk, p.ring = c, ring{data: c.data, n: n}
}

func (p *Pipe) toFile(b []byte) (int, error) {
	if p.emptying {
		return 0, nil
	}
	off, n := p.blocks.tail()
	if n = p.charge(off, min(n, len(b))); n == 0 {
		off = p.blocks.spare()
		if n = p.charge(off, min(blockSize, len(b))); n == 0 {
			return 0, nil
		}
		p.blocks.add()
	}
	n, err := p.writeAt(b[:n], off)
	p.blocks.wrote(n)
	p.emptyFile()
	return n, err
}

// offer waits until the reader has taken some of b, or there may be room for it,
// or a side was closed, or until it is late. It returns how many bytes the reader
// took, and whether it was in time.
func (p *Pipe) offer(b []byte, freed <-chan struct{}, late <-chan time.Time) (n int, inTime bool) {
	if p.room == nil {
		p.room = make(chan struct{}, 1)
	}
	p.offered = b
	p.mu.Unlock()
	inTime = true
	select {
	case <-p.room:
	case <-freed:
	case <-late:
		inTime = false
	}
	p.mu.Lock()
	n = len(b) - len(p.offered)
	p.offered = nil
	return n, inTime
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
			return 0, ErrClosed
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
		p.dropChunk()
	}
	p.wakeWriter()
	return n
}

func (p *Pipe) fromFile(b []byte) (int, error) {
	off, n := p.blocks.next()
	n, err := p.readAt(b[:min(n, len(b))], off)
	p.blocks.consumed(n)
	p.emptyFile()
	p.wakeWriter()
	return n, err
}

func (p *Pipe) fromWriter(b []byte) int {
	n := copy(b, p.offered)
	p.offered = p.offered[n:]
	p.wakeWriter()
	return n
}

// emptyFile gives the file's space back and starts over at its beginning, once
// everything in it was read and the other side is not using it.
func (p *Pipe) emptyFile() {
	if p.blocks.unread > 0 || p.io > 0 || p.disk == 0 || p.closed {
		return
	}
	p.blocks = blocks{}
	p.emptying = true
	// A file that could not be emptied stays charged and is overwritten from its
	// beginning all the same: nothing is lost, so there is nothing to report.
	_ = p.truncate()
	p.emptying = false
}

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
func (p *Pipe) Close() error {
	err := p.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wakeWriter()
	return err
}

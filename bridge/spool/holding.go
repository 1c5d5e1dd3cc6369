package spool

import (
	"os"
	"sync"
)

// holding is what one Buffer or Pipe has of its Store. It is the only owner of
// its chunks, its file and the disk budget charged for the file: they come and go
// under mu, and only close or giveUp takes the last of them.
//
// Disk I/O runs without mu, counted in io. While io is above zero they wait, so
// the file and the chunks stay valid for it.
type holding struct {
	store *Store
	body  body
	owner Owner
	kind  kind
	share *share // guarded by the store's mu, as what it points to; nil until there is need of it
	claim *claim // the same
	left  bool   // the same; share may be somebody else's by now

	mu      sync.Mutex
	changed sync.Cond // on mu: whatever somebody may wait for has changed
	chunks  []*chunk
	one     [1]*chunk // what chunks needs in most cases
	file    *os.File
	disk    int64 // bytes of disk budget charged; the file is never larger
	io      int   // disk operations in flight
	closed  bool  // close or giveUp was called: no Read or Write begins
	cut     bool  // that was giveUp
	freed   bool  // everything was given back
}

// body is the Buffer or Pipe around a holding.
type body interface {
	wakeWriter() // wakes a Write that waits; called with mu held
}

func (h *holding) init(s *Store, of body, k kind, o Owner) {
	h.store, h.body, h.kind, h.owner = s, of, k, o
	h.changed.L = &h.mu
	h.chunks = h.one[:0]
	s.count(Stats{Buffers: 1})
}

// gone is the error of what comes too late.
func (h *holding) gone() error {
	if h.cut {
		return ErrCut
	}
	return ErrClosed
}

// charge makes sure that the disk budget covers n bytes at off in the file, or
// some of them, and returns how many; none while nothing can be written. It is
// called with mu held.
func (h *holding) charge(off int64, n int) int {
	if n == 0 || !h.store.retry() {
		return 0
	}
	end := off + int64(n)
	if end > h.disk {
		h.disk += h.store.reserveDisk(h, max(off+1-h.disk, 1), end-h.disk)
	}
	return int(max(0, min(end, h.disk)-off))
}

// writeAt writes to the file, which it creates if there is none. It is called
// with mu held and releases it meanwhile.
func (h *holding) writeAt(p []byte, off int64) (n int, err error) {
	h.io++
	defer h.end()
	f := h.file
	h.mu.Unlock()
	defer h.mu.Lock()
	if f == nil {
		if f, err = h.store.createFile(); err != nil {
			h.store.failed(err)
			return 0, err
		}
		h.adopt(f)
	}
	if n, err = f.WriteAt(p, off); err != nil {
		err = h.store.fileError("write", err)
		h.store.failed(err)
		return n, err
	}
	h.store.worked()
	h.store.measure()
	return n, nil
}

// readAt fills p from the file. It is called with mu held and releases it
// meanwhile.
func (h *holding) readAt(p []byte, off int64) (n int, err error) {
	h.io++
	defer h.end()
	f := h.file
	h.mu.Unlock()
	defer h.mu.Lock()
	n, err = f.ReadAt(p, off)
	return n, h.store.fileError("read", err)
}

// dropFile closes the file, which nobody uses, and gives its disk budget back: one that
// is empty counts for nothing, and would take a descriptor all the same. It is called with
// mu held and releases it meanwhile.
func (h *holding) dropFile() {
	h.io++
	defer h.end()
	disk := h.disk
	_ = h.closeFile() // it has no name; nothing in it is needed any more
	h.disk -= disk
	h.store.releaseDisk(h, disk)
}

// end is the end of disk I/O, for those who wait for it or for what it brings.
func (h *holding) end() {
	h.io--
	h.changed.Broadcast()
}

func (h *holding) adopt(f *os.File) {
	h.mu.Lock()
	h.file = f
	h.mu.Unlock()
}

// dropChunks gives the chunks back. It is called with mu held.
func (h *holding) dropChunks() {
	for i, c := range h.chunks {
		h.store.giveChunk(c)
		h.chunks[i] = nil
	}
	h.chunks = h.one[:0]
}

// close waits for disk I/O in flight and gives everything back. A second caller
// waits for the first.
func (h *holding) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		h.awaitFreed()
		return nil
	}
	h.closed = true
	return h.free()
}

func (h *holding) awaitFreed() {
	for !h.freed {
		h.changed.Wait()
	}
}

// free gives everything back once nothing uses it any more. It is called with mu
// held, by whoever has set closed.
func (h *holding) free() error {
	h.changed.Broadcast()
	h.body.wakeWriter()
	for h.io > 0 {
		h.changed.Wait()
	}
	h.dropChunks()
	err := h.closeFile()
	h.store.leave(h, h.disk)
	h.disk = 0
	h.freed = true
	h.changed.Broadcast()
	return err
}

// closeFile releases mu meanwhile: dropping the blocks of a large file takes the
// kernel a while.
func (h *holding) closeFile() error {
	if h.file == nil {
		return nil
	}
	f := h.file
	h.file = nil
	h.mu.Unlock()
	defer h.mu.Lock()
	return h.store.closeFile(f)
}

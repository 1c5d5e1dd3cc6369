package spool

import (
	"os"
	"sync"
)

// holding is what one Buffer or Pipe has of its Store. It is the only owner of
// its chunk, its file and the disk budget charged for the file: they come and go
// under mu, and only close takes the last of them.
//
// Disk I/O runs without mu, counted in io. While io is above zero close waits,
// so the file and the chunk stay valid for it.
type holding struct {
	store *Store

	mu      sync.Mutex
	changed sync.Cond // on mu: whatever somebody may wait for has changed
	chunk   *chunk
	file    *os.File
	disk    int64 // bytes of disk budget charged; the file is never larger
	io      int   // disk operations in flight
	closed  bool  // close was called: no Read or Write begins
	freed   bool  // close has given everything back
}

func (h *holding) init(s *Store) {
	h.store = s
	h.changed.L = &h.mu
	s.opened()
}

// charge makes sure that the disk budget covers n bytes at off in the file, or
// some of them, and returns how many. It is called with mu held.
func (h *holding) charge(off int64, n int) int {
	end := off + int64(n)
	if end > h.disk && n > 0 {
		h.disk += h.store.reserveDisk(max(off+1-h.disk, 1), end-h.disk)
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
			return 0, err
		}
		h.adopt(f)
	}
	n, err = f.WriteAt(p, off)
	return n, h.store.fileError("write", err)
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

// truncate empties the file and gives its disk budget back. It is called with mu
// held and releases it meanwhile. On failure the budget stays charged: the file
// may have kept its size, and close gives it back.
func (h *holding) truncate() error {
	h.io++
	defer h.end()
	f, disk := h.file, h.disk
	h.mu.Unlock()
	var err error
	if f != nil { // nil if the file could not be created
		err = f.Truncate(0)
	}
	h.mu.Lock()
	if err != nil {
		return h.store.fileError("truncate", err)
	}
	h.disk -= disk
	h.store.release(Stats{Disk: disk})
	return nil
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

// dropChunk gives the chunk back, if there is one. It is called with mu held.
func (h *holding) dropChunk() {
	if h.chunk == nil {
		return
	}
	h.store.giveChunk(h.chunk)
	h.chunk = nil
}

// close waits for disk I/O in flight and gives everything back. A second caller
// waits for the first.
func (h *holding) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		for !h.freed {
			h.changed.Wait()
		}
		return nil
	}
	h.closed = true
	h.changed.Broadcast()
	for h.io > 0 {
		h.changed.Wait()
	}
	h.dropChunk()
	err := h.closeFile()
	h.store.release(Stats{Buffers: 1, Disk: h.disk})
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

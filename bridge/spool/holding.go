package spool

import (
	"os"
	"sync"
)

// holding has the resources of one Buffer or Pipe. It is the only owner of its chunks, its file and the
// disk budget charged for the file. They change under mu, and only close and cutNow release all of them.
//
// Disk I/O runs without mu, and is counted in io. close and cutNow wait while io is above zero, so that the
// file and the chunks stay valid during I/O.
type holding struct {
	store        *Store
	body         body
	owner        Owner
	kind         kind
	share        *share // guarded by the store's mu, with its content; nil until it is needed
	claim        *claim // likewise
	unregistered bool   // likewise; after that, share may belong to another client

	mu      sync.Mutex
	changed sync.Cond // on mu; any state that a goroutine may wait for has changed
	chunks  []*chunk
	one     [1]*chunk // the array of chunks in most cases
	file    *os.File
	disk    int64 // bytes of disk budget charged; the file is never larger
	io      int   // disk operations in progress
	closed  bool  // close or cutNow was called; no Read or Write begins any more
	cut     bool  // cutNow was called
	freed   bool  // everything was released
}

// body is the Buffer or Pipe around a holding.
type body interface {
	wakeWriter() // wakes a waiting Write; mu is held
}

func (h *holding) init(s *Store, of body, k kind, o Owner) {
	h.store, h.body, h.kind, h.owner = s, of, k, o
	h.changed.L = &h.mu
	h.chunks = h.one[:0]
	s.count(Stats{Buffers: 1})
}

// closedError returns the error of a Read or Write after the end.
func (h *holding) closedError() error {
	if h.cut {
		return ErrCut
	}
	return ErrClosed
}

// charge makes the disk budget cover n bytes at off in the file, or some of them, and returns how many; 0
// while nothing can be written. mu is held.
func (h *holding) charge(off int64, n int) int {
	if n == 0 || !h.store.mayWrite() {
		return 0
	}
	end := off + int64(n)
	if end > h.disk {
		h.disk += h.store.reserveDisk(h, max(off+1-h.disk, 1), end-h.disk)
	}
	return int(max(0, min(end, h.disk)-off))
}

// writeAt writes to the file, which it creates if necessary. mu is held, and released meanwhile.
func (h *holding) writeAt(p []byte, off int64) (n int, err error) {
	h.io++
	defer h.ioDone()
	f := h.file
	h.mu.Unlock()
	defer h.mu.Lock()
	if f == nil {
		if f, err = h.store.createFile(); err != nil {
			h.store.diskFailed(err)
			return 0, err
		}
		h.setFile(f)
	}
	if n, err = f.WriteAt(p, off); err != nil {
		err = h.store.fileError("write", err)
		h.store.diskFailed(err)
		return n, err
	}
	h.store.diskWorked()
	h.store.measure()
	return n, nil
}

// readAt fills p from the file. mu is held, and released meanwhile.
func (h *holding) readAt(p []byte, off int64) (n int, err error) {
	h.io++
	defer h.ioDone()
	f := h.file
	h.mu.Unlock()
	defer h.mu.Lock()
	n, err = f.ReadAt(p, off)
	return n, h.store.fileError("read", err)
}

// dropFile closes the file, which must not be in use, and releases its disk budget. An empty file would
// still take a descriptor. mu is held, and released meanwhile.
func (h *holding) dropFile() {
	h.io++
	defer h.ioDone()
	disk := h.disk
	_ = h.closeFile() // its content is not needed any more
	h.disk -= disk
	h.store.releaseDisk(h, disk)
}

// ioDone ends a disk operation, and wakes the goroutines that wait for it.
func (h *holding) ioDone() {
	h.io--
	h.changed.Broadcast()
}

func (h *holding) setFile(f *os.File) {
	h.mu.Lock()
	h.file = f
	h.mu.Unlock()
}

// dropChunks releases the chunks. mu is held.
func (h *holding) dropChunks() {
	for i, c := range h.chunks {
		h.store.giveChunk(c)
		h.chunks[i] = nil
	}
	h.chunks = h.one[:0]
}

// close waits for disk I/O in progress and releases everything. A second caller waits for the first.
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

// free releases everything when no I/O is in progress. It is called by the goroutine that has set closed.
// mu is held.
func (h *holding) free() error {
	h.changed.Broadcast()
	h.body.wakeWriter()
	for h.io > 0 {
		h.changed.Wait()
	}
	h.dropChunks()
	err := h.closeFile()
	h.store.unregister(h, h.disk)
	h.disk = 0
	h.freed = true
	h.changed.Broadcast()
	return err
}

// closeFile closes the file. It releases mu meanwhile, because closing a large unnamed file may take
// time.
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

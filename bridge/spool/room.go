package spool

// kind is the kind of a body. Without room, an answer continues at its client's pace, and a request
// fails.
type kind uint8

const (
	request kind = iota
	answer
	numKinds
)

func (k kind) String() string {
	if k == request {
		return "request body"
	}
	return "answer"
}

// budget is a bounded number of bytes, of memory or of disk.
type budget struct {
	size int64
	used int64
	by   [numKinds]int64 // used, by kind
}

func (b *budget) add(k kind, n int64) {
	b.used += n
	b.by[k] += n
}

// available returns how many bytes a body that can wait may have, of a client that already holds held
// bytes. An eighth of the budget is left free for bodies of the other kind, until those hold half of it. A
// client that holds more than a quarter leaves another eighth for other clients.
func (b *budget) available(k kind, held int64) int64 {
	others := b.used - b.by[k]
	left := min(others+b.size/8, max(others, b.size/2))
	return b.forClient(b.size-left-b.by[k], held)
}

// forClient returns how many of the free bytes a client may have that already holds held bytes.
func (b *budget) forClient(free, held int64) int64 {
	return max(min(free, b.fairShare()-held), free-b.size/8)
}

// fairShare is how much one client may hold of each kind, whatever other clients need.
func (b *budget) fairShare() int64 { return b.size / 4 }

// share is what the bodies of one kind of one client hold together.
type share struct {
	shareKey
	bodies int // open bodies that have held something
	memory int64
	disk   int64
	// cuttable has the bodies that hold disk and can be cut.
	cuttable map[*holding]struct{}
}

type shareKey struct {
	kind   kind
	client Client
}

// claim is the room on disk of a body's file, guarded by the Store's mu.
type claim struct {
	bytes    int64 // charged for the file: its size, at least minFile
	wanted   int64 // being freed for the body by cutting another one; 0: none
	beingCut bool  // the body itself is being cut
	whole    bool  // it is a complete request, and is not cut
	pace     pace
}

// shareOf returns the share of h's client. mu is held, here and in the functions below that do not lock
// it.
func (s *Store) shareOf(h *holding) *share {
	if h.share != nil {
		return h.share
	}
	key := shareKey{h.kind, h.owner.Client}
	sh := s.shares[key]
	if sh == nil {
		sh = s.newShare(key)
	} else if sh == s.unused {
		s.unused = nil
	}
	sh.bodies++
	h.share = sh
	return sh
}

func (s *Store) newShare(key shareKey) *share {
	sh := s.unused
	if sh == nil {
		sh = new(share)
	} else {
		delete(s.shares, sh.shareKey)
		s.unused = nil
	}
	sh.shareKey = key
	s.shares[key] = sh
	return sh
}

// dropUnused removes a share that holds nothing. It keeps the last one, because the next body is often of
// the same client.
func (s *Store) dropUnused(sh *share) {
	if sh.bodies > 0 || sh.memory > 0 {
		return
	}
	if s.unused != nil {
		delete(s.shares, s.unused.shareKey)
	}
	s.unused = sh
}

// claimOf returns h's claim, a new one if necessary.
func (s *Store) claimOf(h *holding) *claim {
	if h.claim == nil {
		h.claim = new(claim)
	}
	return h.claim
}

// setWanted reserves n bytes that are being freed for c.
func (s *Store) setWanted(c *claim, n int64) {
	s.wanted += n - c.wanted
	c.wanted = n
}

// setClaim charges n bytes in all for h's file.
func (s *Store) setClaim(h *holding, n int64) {
	c := h.claim
	if c.bytes == 0 {
		c.pace.begin()
	}
	s.disk.add(h.kind, n-c.bytes)
	h.share.disk += n - c.bytes
	c.bytes = n
	s.updateCuttable(h)
}

// updateCuttable adds h to the bodies that can be cut, or removes it.
func (s *Store) updateCuttable(h *holding) {
	c, sh := h.claim, h.share
	if c.bytes > 0 && h.owner.Cutter != nil && !c.whole && !c.beingCut {
		if sh.cuttable == nil {
			sh.cuttable = make(map[*holding]struct{})
		}
		sh.cuttable[h] = struct{}{}
	} else {
		delete(sh.cuttable, h)
	}
}

// reserveMemory charges n bytes to h's share and returns the share; nil if there is no room, or h is
// unregistered.
func (s *Store) reserveMemory(h *holding, n int64) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.unregistered {
		return nil
	}
	sh := s.shareOf(h)
	if s.memory.available(h.kind, sh.memory) < n {
		return nil
	}
	s.memory.add(h.kind, n)
	sh.memory += n
	return sh
}

// releaseMemory undoes reserveMemory.
func (s *Store) releaseMemory(sh *share, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory.add(sh.kind, -n)
	sh.memory -= n
	s.dropUnused(sh)
	s.wake()
}

// reserveDisk charges between least and most bytes, in addition to those that h holds, and returns how
// many; 0 if there is no room for least.
func (s *Store) reserveDisk(h *holding, least, most int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, c := s.shareOf(h), s.claimOf(h)
	freed := c.wanted // by cutting another body for h
	s.setWanted(c, 0)
	free := s.disk.size - s.disk.used - s.wanted
	elastic := s.disk.forClient(free, sh.disk)
	if h.kind == answer {
		elastic = s.disk.available(answer, sh.disk) - s.wanted
	}
	free = max(min(free, freed), elastic)
	room := max(free, 0) + c.bytes
	n := min(most, room-h.disk)
	if n < least || room < s.minFile() || c.bytes == 0 && !s.files.take() {
		s.setWanted(c, freed) // until toCut makes more room, or the body does without
		return 0
	}
	s.setClaim(h, max(c.bytes, h.disk+n, s.minFile()))
	s.inUse.Disk += n
	return n
}

// minFile is the least number of bytes charged for a file, which bounds the number of the Store's files.
func (s *Store) minFile() int64 { return s.disk.size / int64(s.config.Files) }

// releaseDisk releases all disk of h: n bytes.
func (s *Store) releaseDisk(h *holding, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropDisk(h, n)
}

func (s *Store) dropDisk(h *holding, n int64) {
	s.inUse.Disk -= n
	if h.claim != nil && h.claim.bytes > 0 {
		s.setClaim(h, 0)
		s.files.give()
		s.wake()
	}
}

// receivedWhole marks h, a request, as complete, so that it is not cut. It returns false if h is being cut
// already.
func (s *Store) receivedWhole(h *holding) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.claim == nil {
		return true
	}
	h.claim.whole = true
	s.updateCuttable(h)
	return !h.claim.beingCut
}

// unregister removes h from the accounts. It still holds n bytes of disk.
func (s *Store) unregister(h *holding, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.unregistered = true
	s.inUse.Buffers--
	s.dropDisk(h, n)
	if h.claim != nil {
		s.setWanted(h.claim, 0)
	}
	if h.share != nil {
		h.share.bodies--
		s.dropUnused(h.share)
	}
}

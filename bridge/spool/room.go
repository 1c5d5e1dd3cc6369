package spool

// kind is what a body is, and decides what becomes of it where there is no room:
// an answer goes on at its client's pace, a request fails.
type kind uint8

const (
	request kind = iota
	answer
	kinds // how many there are
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
	by   [kinds]int64 // used, by kind
}

func (b *budget) add(k kind, n int64) {
	b.used += n
	b.by[k] += n
}

// elastic returns how much is free for a body that can do without, of a client
// that holds so much already. An eighth of the budget is left free for bodies of
// the other kind, until those have half of it, and by a client that holds more than
// a quarter another eighth for other clients.
func (b *budget) elastic(k kind, held int64) int64 {
	others := b.used - b.by[k]
	left := min(others+b.size/8, max(others, b.size/2))
	return b.forOne(b.size-left-b.by[k], held)
}

// forOne returns how much of what is free one client may have that holds so much already.
func (b *budget) forOne(free, held int64) int64 {
	return max(min(free, b.fair()-held), free-b.size/8)
}

// fair is what one client may hold of each kind whatever others want.
func (b *budget) fair() int64 { return b.size / 4 }

// share is what one client's bodies of one kind hold together.
type share struct {
	shareKey
	bodies int // open ones that have held something
	memory int64
	disk   int64
	// cuttable are those that hold disk and can be given up.
	cuttable map[*holding]struct{}
}

type shareKey struct {
	kind   kind
	client Client
}

// claim is what a body's file has of the disk, guarded by the Store's mu.
type claim struct {
	bytes  int64 // what the file counts for: its size, or a file's least
	wanted int64 // what the body is having others given up for; 0 if it is not
	doomed bool  // the body is being given up itself
	whole  bool  // it is a request that was received to its end, and is not given up
	pace   pace
}

// shareOf returns the share of h's client. It is called with mu held, as all below.
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

// drop forgets a share that holds nothing, unless it is the only one: the next body
// may well be of the same client.
func (s *Store) drop(sh *share) {
	if sh.bodies > 0 || sh.memory > 0 {
		return
	}
	if s.unused != nil {
		delete(s.shares, s.unused.shareKey)
	}
	s.unused = sh
}

// claimOf returns h's claim.
func (s *Store) claimOf(h *holding) *claim {
	if h.claim == nil {
		h.claim = new(claim)
	}
	return h.claim
}

// want notes that h is having others given up for n bytes. Nobody else gets them.
func (s *Store) want(c *claim, n int64) {
	s.wanted += n - c.wanted
	c.wanted = n
}

// setClaim has h's file count for n bytes.
func (s *Store) setClaim(h *holding, n int64) {
	c := h.claim
	if c.bytes == 0 {
		c.pace.begin()
	}
	s.disk.add(h.kind, n-c.bytes)
	h.share.disk += n - c.bytes
	c.bytes = n
	s.sort(h)
}

// sort puts h among those that can be given up, or takes it out.
func (s *Store) sort(h *holding) {
	c, sh := h.claim, h.share
	if c.bytes > 0 && h.owner.Cutter != nil && !c.whole && !c.doomed {
		if sh.cuttable == nil {
			sh.cuttable = make(map[*holding]struct{})
		}
		sh.cuttable[h] = struct{}{}
	} else {
		delete(sh.cuttable, h)
	}
}

// reserveMemory charges n bytes to h's share and returns that; nil if there is no room, or
// h has given back everything.
func (s *Store) reserveMemory(h *holding, n int64) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.left {
		return nil
	}
	sh := s.shareOf(h)
	if s.memory.elastic(h.kind, sh.memory) < n {
		return nil
	}
	s.memory.add(h.kind, n)
	sh.memory += n
	return sh
}

// releaseMemory gives back what reserveMemory charged.
func (s *Store) releaseMemory(sh *share, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory.add(sh.kind, -n)
	sh.memory -= n
	s.drop(sh)
	s.wake()
}

// reserveDisk charges between least and most bytes, in addition to those that h
// holds, and returns how many; 0 if there is no room for the least.
func (s *Store) reserveDisk(h *holding, least, most int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, c := s.shareOf(h), s.claimOf(h)
	freed := c.wanted // for it, by others
	s.want(c, 0)
	free := s.disk.size - s.disk.used - s.wanted
	elastic := s.disk.forOne(free, sh.disk)
	if h.kind == answer {
		elastic = s.disk.elastic(answer, sh.disk) - s.wanted
	}
	free = max(min(free, freed), elastic)
	room := max(free, 0) + c.bytes
	n := min(most, room-h.disk)
	if n < least || room < s.leastFile() {
		return 0
	}
	s.setClaim(h, max(c.bytes, h.disk+n, s.leastFile()))
	s.inUse.Disk += n
	return n
}

// leastFile is what a file counts for at least, so that there are not too many.
func (s *Store) leastFile() int64 { return s.disk.size / int64(s.config.Files) }

// releaseDisk gives back the n bytes that h holds: all of them.
func (s *Store) releaseDisk(h *holding, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropDisk(h, n)
}

func (s *Store) dropDisk(h *holding, n int64) {
	s.inUse.Disk -= n
	if h.claim != nil && h.claim.bytes > 0 {
		s.setClaim(h, 0)
		s.wake()
	}
}

// receivedWhole keeps h, a request, from being given up. It reports whether that
// was in time.
func (s *Store) receivedWhole(h *holding) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.claim == nil {
		return true
	}
	h.claim.whole = true
	s.sort(h)
	return !h.claim.doomed
}

// leave ends h's part in the accounts; n bytes of disk were left.
func (s *Store) leave(h *holding, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.left = true
	s.inUse.Buffers--
	s.dropDisk(h, n)
	if h.claim != nil {
		s.want(h.claim, 0)
	}
	if h.share != nil {
		h.share.bodies--
		s.drop(h.share)
	}
}

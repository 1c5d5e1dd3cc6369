package bridge

import (
	"hash/maphash"
	"path/filepath"
	"sync"
	"time"
)

// sites are the Bridges in front of a backend, and what is remembered for those that come
// in their place.
type sites struct {
	client maphash.Seed // of clients' addresses, which are the same for all

	mu    sync.Mutex
	here  map[*Bridge]struct{}
	seats map[seat]*siteMemory
	rules map[sharingRule]*sharingTable
}

// seat is what tells sites of one backend apart: the same path is another script.
type seat struct{ mount, root string }

// siteMemory is what a site has in common with those before and after it.
type siteMemory struct {
	label string
	seeds flowSeeds
}

// sharingRule is what FlowConfig says of shared accounts.
type sharingRule struct {
	most  int
	per   time.Duration
	evict bool
}

// sharingTable is what is known of accounts by those that have the same rule.
type sharingTable struct {
	*sharing
	users int
}

func newSites() sites {
	return sites{client: maphash.MakeSeed(), here: make(map[*Bridge]struct{}), seats: make(map[seat]*siteMemory), rules: make(map[sharingRule]*sharingTable)}
}

// join completes b, and counts it among the sites until it leaves.
func (s *sites) join(b *Bridge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	memory := s.remember(seat{b.mount, b.cfg.Root})
	b.site = memory.label
	var err error
	if b.flows, err = newFlows(b.cfg.Flow.Key, memory.seeds); err != nil {
		return err
	}
	if b.cfg.Flow.MaxAddresses > 0 {
		b.sharing = s.share(b.cfg.Flow.rule())
	}
	s.here[b] = struct{}{}
	return nil
}

// remember returns what is known of a seat. The first one's routes have no label: most
// backends have one site.
func (s *sites) remember(at seat) *siteMemory {
	if at.root != "" {
		at.root = filepath.Clean(at.root)
	}
	if m := s.seats[at]; m != nil {
		return m
	}
	m := &siteMemory{seeds: newFlowSeeds(s.client)}
	if len(s.seats) > 0 {
		m.label = "[" + at.mount + ":" + at.root + "] "
	}
	s.seats[at] = m
	return m
}

func (s *sites) share(rule sharingRule) *sharing {
	t := s.rules[rule]
	if t == nil {
		t = &sharingTable{sharing: newSharing(rule.most, rule.per, rule.evict)}
		s.rules[rule] = t
	}
	t.users++
	return t.sharing
}

func (s *sites) leave(b *Bridge) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.here, b)
	if b.sharing == nil {
		return
	}
	rule := b.cfg.Flow.rule()
	if t := s.rules[rule]; t.users > 1 {
		t.users--
		return
	}
	delete(s.rules, rule)
}

func (f *FlowConfig) rule() sharingRule {
	return sharingRule{f.MaxAddresses, time.Duration(f.Per), f.Excess == Evict}
}

// snapshot is of all sites together.
func (s *sites) snapshot() (inFlight int64, sharing SharingSnapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b := range s.here {
		inFlight += b.inFlight.Load()
	}
	for _, t := range s.rules {
		sharing.add(t.snapshot())
	}
	return inFlight, sharing
}

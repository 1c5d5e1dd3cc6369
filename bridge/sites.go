package bridge

import (
	"hash/maphash"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/classify"
)

// sites are the Bridges in front of a backend, and what is remembered for those that come
// in their place.
type sites struct {
	client maphash.Seed // of clients' addresses, which are the same for all

	mu     sync.Mutex
	here   map[*Bridge]*siteMemory
	latest *Bridge // the one of them that came last; nil: there is none
	seats  map[seat]*siteMemory
	rules  map[sharingRule]*sharingTable
	others bool // there has been a seat: those that come have labels
}

// seat is what tells sites of one backend apart: the same path is another script.
type seat struct{ mount, root string }

// siteMemory is what a site has in common with those before and after it.
type siteMemory struct {
	label string
	seeds classify.Seeds

	users int
	left  time.Time // when the last of them did
}

// A seat that no site has is remembered for a while, in case one comes back: seatKept, and no
// more than mostSeats of them. Each release that has a root of its own leaves one.
const (
	seatKept  = time.Hour
	mostSeats = 256
)

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
	return sites{client: maphash.MakeSeed(), here: make(map[*Bridge]*siteMemory), seats: make(map[seat]*siteMemory), rules: make(map[sharingRule]*sharingTable)}
}

// join completes b, and counts it among the sites until it leaves.
func (s *sites) join(b *Bridge) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.forget(now)
	memory := s.remember(seat{b.mount, b.cfg.Root})
	memory.left = now
	if b.cfg.Client.MaxAddresses > 0 {
		b.sharing = s.share(ruleOf(&b.cfg.Client))
	}
	b.classifier = classify.New(classify.Config{
		Label: memory.label, Mount: b.mount, LongPoll: b.cfg.LongPoll, Key: b.cfg.keySource, Seeds: memory.seeds,
		Clients: !b.plain || b.sharing != nil, Routes: !b.plain || b.processes != nil, Lanes: !b.plain,
	})
	memory.users++
	s.here[b] = memory
	s.latest = b
}

// forget forgets seats that no site has had for long, or of which there are too many.
func (s *sites) forget(now time.Time) {
	var unused []seat // the latest first
	for at, m := range s.seats {
		if m.users == 0 {
			unused = append(unused, at)
		}
	}
	slices.SortFunc(unused, func(a, b seat) int { return s.seats[b].left.Compare(s.seats[a].left) })
	for i, at := range unused {
		if i >= mostSeats || now.Sub(s.seats[at].left) > seatKept {
			delete(s.seats, at)
		}
	}
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
	m := &siteMemory{seeds: classify.NewSeeds(s.client)}
	if s.others {
		m.label = "[" + at.mount + ":" + at.root + "] "
	}
	s.others = true
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
	memory, now := s.here[b], time.Now()
	memory.users--
	memory.left = now
	delete(s.here, b)
	if s.latest == b {
		s.latest = nil
		for other := range s.here {
			s.latest = other
		}
	}
	s.forget(now)
	if b.sharing == nil {
		return
	}
	rule := ruleOf(&b.cfg.Client)
	if t := s.rules[rule]; t.users > 1 {
		t.users--
		return
	}
	delete(s.rules, rule)
}

func ruleOf(f *ClientConfig) sharingRule {
	return sharingRule{f.MaxAddresses, time.Duration(f.Per), f.Excess == Evict}
}

// last returns the configuration of the site that joined last, or nil.
func (s *sites) last() *site {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.latest == nil {
		return nil
	}
	return s.latest.cfg
}

// snapshot is of all sites together.
func (s *sites) snapshot() (inFlight int64, sharing AddressLimitSnapshot) {
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

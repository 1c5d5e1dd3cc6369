package app

import (
	"hash/maphash"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/addresslimit"
	"github.com/sluice-proxy/sluice/bridge/internal/classify"
	"github.com/sluice-proxy/sluice/bridge/internal/siphash"
)

// Site is a site in front of an application, from Join to Leave.
type Site struct {
	Mount, Root string
	Limit       addresslimit.Rule // zero: there is no limit

	// How the site would ask the application whether it is ready.
	Mapping           cgi.Config
	MaxResponseHeader int

	InFlight func() int64 // its requests
	Guesses  Guesses      // at its passwords; nil: none are known

	// What Join sets: what the routes of the site begin with, the seeds of its client keys, what other
	// gates call its clients, nil if there are none, and the addresses that keys are used from, nil
	// without a limit.
	Label     string
	Seeds     classify.Seeds
	Names     func() *classify.Names
	Addresses *addresslimit.Table

	memory *siteMemory
}

// sites are the Sites of an application, and what is remembered for those that come in their
// place.
type sites struct {
	client maphash.Seed // of clients' addresses, which are the same for all

	mu      sync.Mutex
	names   *siphash.Key // of clients, at all gates of a fleet; nil: there are no others
	here    map[*Site]struct{}
	latest  *Site // the one of them that came last; nil: there is none
	known   map[siteKey]*siteMemory
	limits  map[addresslimit.Rule]*limit
	labeled bool // there has been a site: those that come have labels
}

// siteKey is what tells sites of one application apart: the same path is another script.
type siteKey struct{ mount, root string }

// siteMemory is what a site has in common with those before and after it.
type siteMemory struct {
	label string
	seeds classify.Seeds
	names atomic.Pointer[classify.Names] // empty without a fleet

	users int
	left  time.Time // when the last of them did
}

// limit is the table of all sites that have the same rule.
type limit struct {
	*addresslimit.Table
	users int
}

// What no site has any more is remembered for a while, in case the site comes back: for
// MemoryKept, and no more than MaxMemories of them. Each release that has a root of its own
// leaves one.
const (
	MemoryKept  = time.Hour
	MaxMemories = 256
)

func newSites() sites {
	return sites{
		client: maphash.MakeSeed(),
		here:   make(map[*Site]struct{}), known: make(map[siteKey]*siteMemory), limits: make(map[addresslimit.Rule]*limit),
	}
}

// Join completes s, and counts it among the sites until it leaves.
func (a *Application) Join(s *Site) { a.sites.join(s) }

// Leave ends what Join began.
func (a *Application) Leave(s *Site) { a.sites.leave(s) }

// InFlight returns how many requests are in all sites together.
func (a *Application) InFlight() int64 { return a.sites.inFlight() }

// AddressLimits returns the sums over the tables of all sites.
func (a *Application) AddressLimits() addresslimit.Stats { return a.sites.stats() }

func (l *sites) join(s *Site) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.forget(now)
	s.memory = l.remember(siteKey{s.Mount, s.Root})
	s.memory.users++
	s.memory.left = now
	s.Label, s.Seeds = s.memory.label, s.memory.seeds
	if l.names != nil {
		s.Names = s.memory.names.Load
	}
	if s.Limit.Most > 0 {
		t := l.limits[s.Limit]
		if t == nil {
			t = &limit{Table: addresslimit.New(s.Limit)}
			l.limits[s.Limit] = t
		}
		t.users++
		s.Addresses = t.Table
	}
	l.here[s] = struct{}{}
	l.latest = s
}

// forget forgets what no site has had for long, or of which there is too much.
func (l *sites) forget(now time.Time) {
	var unused []siteKey // the latest first
	for key, m := range l.known {
		if m.users == 0 {
			unused = append(unused, key)
		}
	}
	slices.SortFunc(unused, func(a, b siteKey) int { return l.known[b].left.Compare(l.known[a].left) })
	for i, key := range unused {
		if i >= MaxMemories || now.Sub(l.known[key].left) > MemoryKept {
			delete(l.known, key)
		}
	}
}

// remember returns what is known of a site. The first one's routes have no label: most
// applications have one site.
func (l *sites) remember(key siteKey) *siteMemory {
	if key.root != "" {
		key.root = filepath.Clean(key.root)
	}
	if m := l.known[key]; m != nil {
		return m
	}
	m := &siteMemory{seeds: classify.NewSeeds(l.client)}
	if l.labeled {
		m.label = "[" + key.mount + ":" + key.root + "] "
	}
	l.labeled = true
	l.known[key] = m
	l.rename(key, m)
	return m
}

// setNames sets by which key clients are named from now on.
func (l *sites) setNames(key siphash.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names = &key
	for site, m := range l.known {
		l.rename(site, m)
	}
	for _, t := range l.limits {
		t.Renamed()
	}
}

// rename sets the names of the clients of a site.
func (l *sites) rename(key siteKey, m *siteMemory) {
	if l.names != nil {
		m.names.Store(classify.NewNames(*l.names, key.mount+"\x00"+key.root))
	}
}

func (l *sites) leave(s *Site) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	s.memory.users--
	s.memory.left = now
	delete(l.here, s)
	if l.latest == s {
		l.latest = nil
		for other := range l.here {
			l.latest = other
		}
	}
	l.forget(now)
	if s.Addresses == nil {
		return
	}
	if t := l.limits[s.Limit]; t.users > 1 {
		t.users--
		return
	}
	delete(l.limits, s.Limit)
}

// last returns the site that joined last, or nil.
func (l *sites) last() *Site {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest
}

func (l *sites) inFlight() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.here {
		n += s.InFlight()
	}
	return n
}

func (l *sites) stats() (sum addresslimit.Stats) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.limits {
		s := t.Stats()
		sum.Keys += s.Keys
		sum.Refused += s.Refused
		sum.Evicted += s.Evicted
	}
	return sum
}

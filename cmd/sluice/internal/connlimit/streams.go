package connlimit

import (
	"net"
	"net/netip"
	"sync"
)

// Streams bounds the requests that are in progress on connections which carry several at once
// (HTTP/2), so that a client does not have more of them than it could have connections: those of all
// clients are Max at most. Beyond half of that, a client may have a sixteenth, 16 at least.
type Streams struct {
	max    func() int
	exempt func(netip.Addr) bool

	mu      sync.Mutex
	open    int
	clients map[netip.Addr]int // by network
	refused uint64
}

// StreamsSnapshot is the state of Streams at one instant.
type StreamsSnapshot struct {
	Max     int    `json:"max"`     // the greatest number of requests
	Open    int    `json:"open"`    // requests in progress
	Refused uint64 `json:"refused"` // requests that were refused, ever
}

// Streams returns bounds that are those of the limit's connections.
func (l *Limit) Streams() *Streams {
	exempt := l.config.Exempt
	if exempt == nil {
		exempt = func(netip.Addr) bool { return false }
	}
	return &Streams{max: l.most, exempt: exempt, clients: make(map[netip.Addr]int)}
}

// Begin reports whether a client may have one more request. If so, end must be called once.
func (s *Streams) Begin(client net.Addr) (end func(), ok bool) {
	addr := addrIn(client)
	exempt := s.exempt(addr)
	key := network(addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	most := s.max()
	if s.open >= most || !exempt && s.open >= most/2 && s.clients[key] >= shareOf(most) {
		s.refused++
		return nil, false
	}
	s.open++
	s.clients[key]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
		if s.clients[key]--; s.clients[key] == 0 {
			delete(s.clients, key)
		}
	}, true
}

// Snapshot returns the state now.
func (s *Streams) Snapshot() StreamsSnapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return StreamsSnapshot{s.max(), s.open, s.refused}
}

package pool

import (
	"log/slog"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/bridge/pool/mux"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Multiplex says whether requests may share a connection.
type Multiplex uint8

const (
	// MultiplexOff: every request has a connection of its own.
	MultiplexOff Multiplex = iota
	// MultiplexAuto: requests share connections when an instance has ownConns already,
	// if it says that it can. It is asked when the next one is made.
	MultiplexAuto
	// MultiplexOn: requests share connections from the first. With Config.TurnsAway the
	// application is asked on each, but only for a sign that somebody reads it.
	MultiplexOn
)

const (
	// ownConns is how many connections requests have to themselves before they share
	// one, where that is up to the pool. A connection of one's own costs less
	// processor time and cannot be held up by others; what it cannot do is be there
	// ten thousand times.
	ownConns = 8
	// maxStreams is how many requests share a connection at most. It bounds what
	// one connection's end costs, and what one reader has to do.
	maxStreams = 2048
	// askAgainAfter is when an application is asked again that closed the connection
	// instead of answering, or refused to share it: it may have been full, or
	// be another one by then.
	queryAgainClosed = time.Minute
)

// verdict is what is known of whether an instance multiplexes.
type multiplexState uint8

const (
	multiplexUnknown multiplexState = iota
	multiplexNo
	multiplexYes
)

func (v multiplexState) String() string { return [...]string{"unknown", "off", "on"}[v] }

// sharing is what an instance has of multiplexed connections.
type sharing struct {
	state      multiplexState
	queryAfter time.Time // when it may be asked again; zero: at once if it is not known, else never
	opening    bool      // a dial is under way whose connection requests wait to share
	openUntil  time.Time // how long they do, if it is not known that it will be
	conns      []*conn   // that take further requests, oldest first
}

// conns is how many connections there are.
func (in *instance) conns() int { return in.used() - in.extra }

// sharing reports whether a request that can share a connection to in should rather
// than have one more of its own. One with a body only does where it was told to:
// Go's net/http/fcgi reads nothing more from a connection until the body of one
// request is read, which a long-poll may never do.
func (p *Pool) sharing(in *instance, d Demand) bool {
	switch {
	case !d.Buffered || p.config().Workers == 1:
		return false
	case p.config().Multiplex == MultiplexAuto:
		return !d.Body && in.conns() >= ownConns
	}
	return p.config().Multiplex == MultiplexOn
}

// startSharing notes that a connection to in, which is about to be dialled, may
// become one to share, and reports whether it will be, and whether the application
// must be asked first. Only one such dial is under way at a time: the others'
// requests would fit on it.
func (p *Pool) startSharing(in *instance, d Demand) (opens, ask bool) {
	s := &in.sharing
	if s.opening || !p.sharing(in, d) {
		return false, false
	}
	if !s.queryAfter.IsZero() && !time.Now().Before(s.queryAfter) {
		s.state, s.queryAfter = multiplexUnknown, time.Time{}
	}
	switch {
	case s.state == multiplexNo, s.state != multiplexYes && !s.queryAfter.IsZero():
		return false, false
	case p.config().Multiplex == MultiplexOn:
		s.state = multiplexYes
		ask = p.config().ClosesWhenFull && !in.behaviour.ignoresQueries()
	case s.state != multiplexYes && in.behaviour.ignoresQueries():
		return false, false
	default:
		ask = true // each time: it may be another application by now
		s.openUntil = time.Now().Add(queryTimeout)
		if in.served.IsZero() {
			s.openUntil = time.Now().Add(startTimeout) // it may be starting
		}
		p.schedule(s.openUntil)
	}
	s.opening = true
	return true, ask
}

// coming reports whether a request need not dial because the connection to share that
// is being made will do for it, too. An application that does not answer is not waited
// for by everybody.
func (s *sharing) coming(now time.Time) bool {
	return s.opening && (s.state == multiplexYes || now.Before(s.openUntil))
}

// learn notes what came of a question.
func (p *Pool) noteReply(in *instance, r reply) {
	s, h := &in.sharing, &in.behaviour
	switch {
	case (r == silent || r == stalled || r == undecided) && s.state == multiplexYes:
		s.state = multiplexUnknown
	case r == undecided && s.state == multiplexUnknown:
		s.queryAfter = time.Now().Add(queryAgainStalled)
	case r == stalled:
		h.noQueryBefore = time.Now().Add(queryAgainStalled)
	case r == silent && h.replies:
		h.replies, h.noQueryBefore = false, time.Now().Add(queryAgainStalled)
	case r == silent:
		h.noQueryBefore = time.Now().Add(queryAgainSilent)
	case r == ended && s.state == multiplexUnknown:
		s.queryAfter = time.Now().Add(queryAgainClosed)
	case r.proof():
		h.replies, h.noQueryBefore = true, time.Time{}
		if p.config().Multiplex == MultiplexAuto {
			p.setMultiplex(in, r.multiplexState())
		}
	}
}

// conclude notes whether an instance multiplexes.
func (p *Pool) setMultiplex(in *instance, v multiplexState) {
	before := in.sharing.state
	in.sharing.state = v
	if v == multiplexYes && before != multiplexYes {
		p.log(in, slog.LevelInfo, "the application multiplexes; requests without a body share connections beyond the first few", slog.Int("first", ownConns))
	}
}

// forget lets the application be asked again when nothing is left of what it was:
// it may be another one when it is back.
func (s *sharing) forget() {
	if len(s.conns) == 0 {
		s.state, s.queryAfter = multiplexUnknown, time.Time{}
	}
}

// joinable returns a connection of the least loaded instance that has one which a
// request should share, nil if there is none.
func (p *Pool) joinable(d Demand) *conn {
	if in := p.choose(d, func(in *instance) bool { return p.sharing(in, d) && in.joinable(d) != nil }); in != nil {
		p.rotate()
		return in.joinable(d)
	}
	return nil
}

// joinable returns a connection that a request can share, nil if there is none.
func (in *instance) joinable(d Demand) (unused *conn) {
	for _, c := range in.sharing.conns {
		switch {
		case d.Fresh && c.madeAt.Before(d.since):
		case c.streams > 0 && c.streams < maxStreams && c.bodies == d.Body && in.sharing.state == multiplexYes && in.room():
			return c
		case c.streams > 0 || !d.Fresh && !d.takesIdle(c):
		case unused == nil || unused.bodies != d.Body && c.bodies == d.Body:
			unused = c
		}
	}
	return unused
}

// share makes a shared connection of one that was dialled.
func (p *Pool) share(c *conn) {
	c.madeAt = time.Now()
	c.mux = mux.New(c.Conn, c.in, mux.Config{
		Codec:       p.config().Codec.(upstream.Multiplexer),
		Memory:      p.memory(),
		SendTimeout: func() time.Duration { return p.config().SendTimeout },
		Recheck:     func() error { return checkAccepted(c.Conn) },
		Retire:      func() { p.retire(c) },
		Lost:        func() { p.lost(c) },
	})
	c.in = upstream.Buffer{} // the bytes that were read belong to c.mux
	c.inst.sharing.conns = append(c.inst.sharing.conns, c)
}

// Memory is a budget of memory, in bytes.
type Memory = mux.Memory

// memory is the budget for a new shared connection.
func (p *Pool) memory() Memory {
	if f := p.config().Memory; f != nil {
		return f()
	}
	return unbounded{}
}

// unbounded is the budget without Config.Memory.
type unbounded struct{}

func (unbounded) Reserve(int) bool { return true }
func (unbounded) Release(int)      {}

// retire lets a multiplexed connection take no more requests. It is closed when
// the last of its requests is over.
func (p *Pool) retire(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unshare(c)
	if c.state == idle && !p.closed {
		p.startClosing(c)
		p.closeLater() // this may be a goroutine of c, for which closing waits
	}
}

// lost is retire for a connection that has ended.
func (p *Pool) lost(c *conn) {
	p.retire(c)
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := &c.inst.sharing; s.state == multiplexYes {
		s.forget()
	}
}

// demote has an application's requests go one to a connection after it refused to
// take another one on c.
func (p *Pool) demote(c *conn) {
	p.retire(c)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &c.inst.sharing
	s.state, s.queryAfter = multiplexNo, time.Now().Add(queryAgainClosed)
}

// unshare takes a connection from among those that take further requests.
func (p *Pool) unshare(c *conn) {
	if c.mux == nil || c.noMore {
		return
	}
	c.noMore = true
	s := &c.inst.sharing
	if i := slices.Index(s.conns, c); i >= 0 {
		s.conns = slices.Delete(s.conns, i, i+1)
	}
}

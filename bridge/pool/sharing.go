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
	// MultiplexAuto: requests share connections when an instance has ownConns already, if
	// the application replies that it multiplexes. The query is sent on the next connection.
	MultiplexAuto
	// MultiplexOn: requests share connections from the first. With Config.ClosesWhenFull, a
	// query is sent on each, only to see that somebody reads the connection.
	MultiplexOn
)

const (
	// ownConns is how many connections of an instance are not shared, with MultiplexAuto. A
	// connection of its own costs a request less processor time, most of all with a large
	// answer, and no other request can hold it up. But there cannot be ten thousand of them.
	ownConns = 128
	// maxStreams is how many requests share a connection at most. It bounds how many fail
	// when one connection ends, and the work of one reading goroutine.
	maxStreams = 2048
	// queryAgainClosed is when the application is queried again after it closed the
	// connection instead of replying, or refused to share a connection. It may have been
	// full, or be another application by then.
	queryAgainClosed = time.Minute
)

// multiplexState is what is known of whether an instance multiplexes.
type multiplexState uint8

const (
	multiplexUnknown multiplexState = iota
	multiplexNo
	multiplexYes
)

func (v multiplexState) String() string { return [...]string{"unknown", "off", "on"}[v] }

// sharing is what the pool knows of an instance's shared connections.
type sharing struct {
	state      multiplexState
	queryAfter time.Time // when it may be queried again; zero: at once if the state is unknown, else never
	opening    bool      // a connection is being dialled that waiters will share
	openUntil  time.Time // how long they wait for it while the state is unknown
	conns      []*conn   // shared connections that take more requests, oldest first
}

// conns is how many connections there are.
func (in *instance) conns() int { return in.used() - in.extra }

// sharing reports whether a request to in should share a connection rather than have one
// more of its own. With MultiplexAuto, one with a body should not: Go's net/http/fcgi reads
// nothing more from a connection until the body of one request is read, and a long-poll may
// never read it.
func (p *Pool) sharing(in *instance, d Demand) bool {
	switch {
	case !d.Buffered || p.config().Workers == 1:
		return false
	case p.config().Multiplex == MultiplexAuto:
		return !d.Body && in.conns() >= ownConns
	}
	return p.config().Multiplex == MultiplexOn
}

// startSharing is called before a connection to in is dialled. It reports whether the
// connection is to be shared, and whether a query must be sent on it first. Only one such
// dial is in progress at a time, as the others' requests fit on the same connection.
func (p *Pool) startSharing(in *instance, d Demand) (opens, query bool) {
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
		query = p.config().ClosesWhenFull && !in.behaviour.ignoresQueries()
	case s.state != multiplexYes && in.behaviour.ignoresQueries():
		return false, false
	default:
		query = true // each time: it may be another application now
		s.openUntil = time.Now().Add(queryTimeout)
		if in.served.IsZero() {
			s.openUntil = time.Now().Add(startTimeout) // it may be starting
		}
		p.schedule(s.openUntil)
	}
	s.opening = true
	return true, query
}

// coming reports whether a request need not dial, because it can share the connection that
// is being dialled. If the application does not reply, not everybody waits for it.
func (s *sharing) coming(now time.Time) bool {
	return s.opening && (s.state == multiplexYes || now.Before(s.openUntil))
}

// noteReply notes the result of a query.
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

// setMultiplex notes whether an instance multiplexes.
func (p *Pool) setMultiplex(in *instance, v multiplexState) {
	before := in.sharing.state
	in.sharing.state = v
	if v == multiplexYes && before != multiplexYes {
		p.log(in, slog.LevelInfo, "the application multiplexes; requests without a body share connections beyond the first few", slog.Int("first", ownConns))
	}
}

// forget lets the application be queried again if it has no shared connections left: it may
// be another application when it is back.
func (s *sharing) forget() {
	if len(s.conns) == 0 {
		s.state, s.queryAfter = multiplexUnknown, time.Time{}
	}
}

// joinable returns a shared connection that a request should use, of the least loaded
// instance that has one. It returns nil if there is none.
func (p *Pool) joinable(d Demand) *conn {
	if in := p.choose(d, func(in *instance) bool { return p.sharing(in, d) && in.joinable(d) != nil }); in != nil {
		p.rotate()
		return in.joinable(d)
	}
	return nil
}

// joinable returns a connection of in that a request can share, nil if there is none.
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
func (p *Pool) share(c *conn, loop Loop) {
	c.madeAt = time.Now()
	c.mux = mux.New(c.Conn, c.in, mux.Config{
		Codec:       p.config().Codec.(upstream.Multiplexer),
		Memory:      p.memory(),
		SendTimeout: func() time.Duration { return p.config().SendTimeout },
		Recheck:     func() error { return checkAccepted(c.Conn) },
		Retire:      func() { p.retire(c) },
		Lost:        func() { p.lost(c) },
		Loop:        loop,
		Serial:      serials.Add(1),
	})
	c.in = upstream.Buffer{} // the bytes that were read belong to c.mux
	c.inst.sharing.conns = append(c.inst.sharing.conns, c)
}

// Loop is an event loop that drives shared connections.
type Loop = mux.Loop

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

// retire has a shared connection take no more requests. It is closed when its last request
// is over.
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

// demote notes that an application has refused a second request on c: its requests get
// connections of their own for a while.
func (p *Pool) demote(c *conn) {
	p.retire(c)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &c.inst.sharing
	s.state, s.queryAfter = multiplexNo, time.Now().Add(queryAgainClosed)
}

// unshare takes c off the list of connections that take more requests.
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

package connlimit

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Config configures a Limit.
type Config struct {
	// Max is how many connections the server may have, MaxWaiting how many more may be
	// accepted and wait.
	Max, MaxWaiting int
	// Exempt reports whether a client is a proxy, which has no share. Nil: no client is.
	Exempt func(netip.Addr) bool
	// Logger gets a line when connections are closed for others, at most every ten seconds.
	Logger *slog.Logger
}

// Snapshot is the state of a Limit at one instant.
type Snapshot struct {
	Max          int    `json:"max"`           // the greatest number of connections
	Open         int    `json:"open"`          // connections in the server
	Idle         int    `json:"idle"`          // of these, without a request
	Waiting      int    `json:"waiting"`       // accepted, and waiting for room
	HalfClosed   int    `json:"half_closed"`   // with a request, and closed by the client on its sending side
	Clients      int    `json:"clients"`       // clients
	MostOfOne    int    `json:"most_of_one"`   // connections of the client with most
	ClosedIdle   uint64 `json:"closed_idle"`   // connections without a request that were closed for others, ever
	CutActive    uint64 `json:"cut_active"`    // connections with a request that were cut for others, ever
	Refused      uint64 `json:"refused"`       // connections closed while they waited, ever
	AcceptErrors uint64 `json:"accept_errors"` // failed calls of accept, ever
}

// Limit bounds the connections of one server.
type Limit struct {
	config Config

	mu            sync.Mutex
	clients       clients
	entries       map[net.Conn]*entry // in the server
	idle          list                // of all clients
	numIdle       int
	waiting       list // of all clients, oldest first
	numWaiting    int
	reliefTimer   *time.Timer // calls relieve; nil unless connections wait and another may be closed later
	closed        bool
	numHalfClosed int // half-closed connections

	listeners []*Listener
	draining  bool          // changes are signalled on changed
	changed   chan struct{} // holds one value after a change

	counts Snapshot // the counters of Snapshot
	report report
}

// entry is a connection that was accepted.
type entry struct {
	conn       net.Conn
	to         *Listener
	client     *client
	state      state
	idleSince  time.Time // when it became idle
	hadRequest bool      // it has had a request
	endsItself bool      // a drain tells the client to end it
	halfClosed bool      // the client has closed its sending side, and waits for the answer
	inClient   node      // in a list of its client
	inLimit    node      // in a list of all clients, if it is idle or waits
}

type state uint8

const (
	stateWaiting state = iota // accepted, and not in the server yet
	stateIdle                 // in the server, without a request
	stateActive               // in the server, with a request
)

// New returns a Limit for one server.
func New(c Config) *Limit {
	l := &Limit{config: c, entries: make(map[net.Conn]*entry), changed: make(chan struct{}, 1)}
	l.clients.byAddr = make(map[netip.Addr]*client)
	l.idle.init()
	l.waiting.init()
	return l
}

// Snapshot returns the state now.
func (l *Limit) Snapshot() Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.counts
	s.Max, s.Open, s.Idle, s.Waiting, s.HalfClosed, s.Clients = l.config.Max, len(l.entries), l.numIdle, l.numWaiting, l.numHalfClosed, len(l.clients.byAddr)
	for _, c := range l.clients.byAddr {
		s.MostOfOne = max(s.MostOfOne, c.conns)
	}
	return s
}

// SetMax changes Max and MaxWaiting. Connections that are too many stay.
func (l *Limit) SetMax(most, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.config.Max, l.config.MaxWaiting = most, waiting
	l.promote()
}

// most returns Max.
func (l *Limit) most() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.config.Max
}

// Track is the server's ConnState. A connection is StateNew until its first header is complete, and
// StateIdle until the next one is. If it is closed for another one while a header arrives, the
// handler is called nevertheless, with a closed connection on which setting a deadline fails. The
// handler should then do nothing: its client may send the request again.
func (l *Limit) Track(c net.Conn, s http.ConnState) {
	if !l.track(c, s) && s == http.StateActive {
		_ = c.Close() // it may not be closed yet, and the handler must find it closed
	}
}

// track reports whether the connection was in the server until now.
func (l *Limit) track(c net.Conn, s http.ConnState) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notifyDrain(s)
	e := l.entries[c]
	if e == nil {
		return false // it was closed for another
	}
	switch s {
	case http.StateActive:
		l.move(e, stateActive)
	case http.StateIdle:
		e.hadRequest = true
		l.move(e, stateIdle)
	case http.StateHijacked, http.StateClosed:
		l.remove(e)
		l.promote()
	}
	return true
}

// EndsItself says that the server tells the client of a connection when it drains (GOAWAY of HTTP/2),
// and then closes the connection itself. A drain gives it selfGrace for that.
func (l *Limit) EndsItself(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[c]; e != nil { // nil if it was closed for another
		e.endsItself = true
	}
}

// enter adds a connection to the server. mu is held, here and in the methods below.
func (l *Limit) enter(e *entry) {
	l.entries[e.conn] = e
	l.link(e, stateIdle)
	l.clients.add(e.client, 1)
	e.to.ready = append(e.to.ready, e.conn)
	select {
	case e.to.wake <- struct{}{}:
	default: // it is awake already
	}
}

// link adds e, which is in no list, to the lists of its new state.
func (l *Limit) link(e *entry, s state) {
	e.state = s
	e.inClient.entry, e.inLimit.entry = e, e
	switch s {
	case stateWaiting:
		e.client.waiting.push(&e.inClient)
		l.waiting.push(&e.inLimit)
		e.client.numWaiting++
		l.numWaiting++
	case stateIdle:
		e.idleSince = time.Now()
		e.client.idle.push(&e.inClient)
		l.idle.push(&e.inLimit)
		l.numIdle++
		l.scheduleRelief()
	case stateActive:
		e.client.active.push(&e.inClient)
	}
}

func (l *Limit) unlink(e *entry) {
	e.inClient.remove()
	switch e.state {
	case stateWaiting:
		e.inLimit.remove()
		e.client.numWaiting--
		l.numWaiting--
	case stateIdle:
		e.inLimit.remove()
		l.numIdle--
	case stateActive:
	}
}

func (l *Limit) move(e *entry, s state) {
	l.unlink(e)
	l.link(e, s)
}

// remove removes a connection from the server.
func (l *Limit) remove(e *entry) {
	l.unlink(e)
	l.endHalfClosed(e)
	delete(l.entries, e.conn)
	l.clients.add(e.client, -1)
}

// promote moves waiting connections to the server while there is room.
func (l *Limit) promote() {
	for len(l.entries) < l.config.Max && !l.closed {
		e := l.waiting.oldest()
		if e == nil {
			return
		}
		l.unlink(e)
		l.enter(e)
	}
}

// scheduleRelief calls relieve when a connection has been without a request for requestGrace, if
// connections wait.
func (l *Limit) scheduleRelief() {
	oldest := l.idle.oldest()
	if l.reliefTimer != nil || l.numWaiting == 0 || oldest == nil || l.closed {
		return
	}
	after := requestGrace
	if !oldest.isOld() {
		after -= time.Since(oldest.idleSince)
	}
	l.reliefTimer = time.AfterFunc(after, l.relieve)
}

// relieve replaces connections that may be closed by now with waiting ones.
func (l *Limit) relieve() {
	var out []net.Conn
	l.mu.Lock()
	l.reliefTimer = nil
	for n := l.waiting.root.next; n.entry != nil && !l.closed; {
		e := n.entry
		n = n.next // before e leaves the list
		if v := l.toClose(e.client); v != nil {
			l.unlink(e)
			out = append(out, l.replace(v, e))
		}
	}
	l.scheduleRelief()
	l.mu.Unlock()
	for _, c := range out {
		_ = c.Close() // it is removed in any case
	}
	l.logClosed()
}

// replace puts e in v's place in the server. The caller must close the connection returned.
func (l *Limit) replace(v, e *entry) net.Conn {
	if v.state == stateIdle {
		l.counts.ClosedIdle++
	} else {
		l.counts.CutActive++
		reset(v.conn)
	}
	l.report.add(v.client)
	l.enter(e) // before remove, which would remove a client without connections
	l.remove(v)
	return v.conn
}

// reset makes Close of a connection send a TCP reset. If no length was announced, as in HTTP/1.0, an
// ordinary close would make the answer look complete.
func reset(c net.Conn) {
	if tcp, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0) // if it fails, the close is an ordinary one
	}
}

// admit adds an accepted connection. It returns the connection that the caller must close, which may
// be c itself; nil if there is none.
func (l *Limit) admit(c net.Conn, to *Listener) (out net.Conn) {
	addr := addrOf(c)
	exempt := l.config.Exempt != nil && l.config.Exempt(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return c
	}
	e := &entry{conn: c, to: to, client: l.clients.of(addr, exempt)}
	if len(l.entries) < l.config.Max {
		l.enter(e)
		return nil
	}
	if v := l.toClose(e.client); v != nil {
		return l.replace(v, e)
	}
	l.link(e, stateWaiting)
	l.scheduleRelief()
	if l.numWaiting <= l.config.MaxWaiting {
		return nil
	}
	v := l.mostWaiting().waiting.oldest()
	l.counts.Refused++
	l.report.add(v.client)
	l.unlink(v)
	l.clients.add(v.client, 0)
	return v.conn
}

// requestGrace is how long a connection without a request is closed only for a client that has
// fewer: the request may be on its way.
const requestGrace = time.Second

// toClose returns the connection to close for one of newcomer, nil if there is none.
func (l *Limit) toClose(newcomer *client) *entry {
	largest := l.clients.most.first()
	if largest != nil && largest.conns > l.share() {
		if v := largest.idle.oldest(); v != nil && (largest != newcomer || v.isOld()) {
			return v
		}
	}
	from := &l.idle
	if !newcomer.exempt && newcomer.conns >= l.share() {
		from = &newcomer.idle
	}
	if v := from.oldest(); v != nil && v.isOld() {
		return v
	}
	if largest != nil && largest != newcomer && largest.conns > l.config.Max/4 && largest.conns >= 2*(newcomer.conns+1) {
		return largest.active.oldest()
	}
	return nil
}

func (e *entry) isOld() bool { return time.Since(e.idleSince) >= requestGrace }

// share is how many connections a client may have before its own are closed first.
func (l *Limit) share() int { return shareOf(l.config.Max) }

func shareOf(most int) int { return max(most/16, 16) }

// mostWaiting returns the client with most waiting connections. At least one must wait.
func (l *Limit) mostWaiting() *client {
	var most *client
	for n := l.waiting.root.next; n.entry != nil; n = n.next {
		if c := n.entry.client; most == nil || c.numWaiting > most.numWaiting {
			most = c
		}
	}
	return most
}

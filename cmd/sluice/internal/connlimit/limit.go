package connlimit

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Config is what a Limit goes by.
type Config struct {
	// Max is how many connections the server may have. MaxWaiting is how many more
	// may be accepted and wait.
	Max, MaxWaiting int
	// Exempt says which clients have no share: proxies. Nil: none is.
	Exempt func(netip.Addr) bool
	// Logger is told when connections make room for others, every ten seconds while
	// they do.
	Logger *slog.Logger
}

// Snapshot is the state of a Limit at one instant.
type Snapshot struct {
	Max          int    `json:"max"`           // how many connections there may be
	Open         int    `json:"open"`          // how many there are
	Idle         int    `json:"idle"`          // of those, without a request
	Waiting      int    `json:"waiting"`       // accepted, and waiting for room
	HalfClosed   int    `json:"half_closed"`   // with a request, by a client that waits for the answer
	Clients      int    `json:"clients"`       // how many addresses they come from
	MostOfOne    int    `json:"most_of_one"`   // how many one of these has
	ClosedIdle   uint64 `json:"closed_idle"`   // without a request, to make room, ever
	CutActive    uint64 `json:"cut_active"`    // with a request, of a client that had too many, ever
	Refused      uint64 `json:"refused"`       // closed while they waited, ever
	AcceptErrors uint64 `json:"accept_errors"` // times that accepting failed, ever
}

// Limit bounds the connections of one server.
type Limit struct {
	config Config

	mu      sync.Mutex
	clients clients
	entries map[net.Conn]*entry // in the server
	idle    list                // of all clients
	idles   int
	waiting list // of all clients, first come first served
	waits   int
	again   *time.Timer   // set while some wait and time may bring them in; else nil
	ready   []net.Conn    // for Accept: they have their place in the server
	wake    chan struct{} // has one if ready may have some
	closed  bool
	halves  int // connections that are half closed

	listener net.Listener
	taken    bool          // the server has stopped accepting
	draining bool          // Track says when something changes
	changed  chan struct{} // has one if something has

	listen string   // where, for the log
	counts Snapshot // what is counted for ever
	report report
}

// entry is a connection that was accepted.
type entry struct {
	conn   net.Conn
	client *client
	state  state
	since  time.Time // of idle
	kept   bool      // it has carried a request
	half   bool      // its client has closed its sending side, and waits for the answer
	own    node      // in a list of the client's
	all    node      // in one of all clients', if it is idle or waits
}

type state uint8

const (
	waits  state = iota // it was not given to the server yet
	idle                // it carries no request
	active              // it does
)

// New returns a Limit for one server and one listener.
func New(c Config) *Limit {
	l := &Limit{config: c, entries: make(map[net.Conn]*entry), wake: make(chan struct{}, 1), changed: make(chan struct{}, 1)}
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
	s.Max, s.Open, s.Idle, s.Waiting, s.HalfClosed, s.Clients = l.config.Max, len(l.entries), l.idles, l.waits, l.halves, len(l.clients.byAddr)
	for _, c := range l.clients.byAddr {
		s.MostOfOne = max(s.MostOfOne, c.conns)
	}
	return s
}

// Track is the server's ConnState. A connection is StateNew until its first header
// is there, and StateIdle until the next. If it made room for another while a header
// came, the handler is called all the same, with a connection that is closed: a deadline
// cannot be set on it any more. It should do nothing, for its client cannot know whether
// it has, and may send the request again.
func (l *Limit) Track(c net.Conn, s http.ConnState) {
	if !l.track(c, s) && s == http.StateActive {
		_ = c.Close() // be it that nobody has come to that yet: the handler is to find it closed
	}
}

// track reports whether the connection has a place, or had it until now.
func (l *Limit) track(c net.Conn, s http.ConnState) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(s)
	e := l.entries[c]
	if e == nil {
		return false // it has made room for another
	}
	switch s {
	case http.StateActive:
		l.move(e, active)
	case http.StateIdle:
		e.kept = true
		l.move(e, idle)
	case http.StateHijacked, http.StateClosed:
		l.remove(e)
		l.promote()
	}
	return true
}

// enter gives a connection its place in the server. It is called with mu held, as all
// below.
func (l *Limit) enter(e *entry) {
	l.entries[e.conn] = e
	l.list(e, idle)
	l.clients.add(e.client, 1)
	l.ready = append(l.ready, e.conn)
	select {
	case l.wake <- struct{}{}:
	default: // it knows
	}
}

// list puts e, which is in no list, where its state belongs.
func (l *Limit) list(e *entry, s state) {
	e.state = s
	e.own.entry, e.all.entry = e, e
	switch s {
	case waits:
		e.client.waiting.push(&e.own)
		l.waiting.push(&e.all)
		e.client.waits++
		l.waits++
	case idle:
		e.since = time.Now()
		e.client.idle.push(&e.own)
		l.idle.push(&e.all)
		l.idles++
		l.expect()
	case active:
		e.client.active.push(&e.own)
	}
}

func (l *Limit) unlist(e *entry) {
	e.own.remove()
	switch e.state {
	case waits:
		e.all.remove()
		e.client.waits--
		l.waits--
	case idle:
		e.all.remove()
		l.idles--
	case active:
	}
}

func (l *Limit) move(e *entry, s state) {
	l.unlist(e)
	l.list(e, s)
}

// remove takes a connection out of the server's.
func (l *Limit) remove(e *entry) {
	l.unlist(e)
	l.whole(e)
	delete(l.entries, e.conn)
	l.clients.add(e.client, -1)
}

// promote lets those in that wait, as far as there is room.
func (l *Limit) promote() {
	for len(l.entries) < l.config.Max && !l.closed {
		e := l.waiting.oldest()
		if e == nil {
			return
		}
		l.unlist(e)
		l.enter(e)
	}
}

// expect has those that wait looked after when a connection without a request has been
// so for long enough.
func (l *Limit) expect() {
	oldest := l.idle.oldest()
	if l.again != nil || l.waits == 0 || oldest == nil || l.closed {
		return
	}
	after := grace
	if !oldest.isOld() {
		after -= time.Since(oldest.since)
	}
	l.again = time.AfterFunc(after, l.relieve)
}

// relieve lets those in that wait, at the cost of who can go by now.
func (l *Limit) relieve() {
	var out []net.Conn
	l.mu.Lock()
	l.again = nil
	for n := l.waiting.root.next; n.entry != nil && !l.closed; {
		e := n.entry
		n = n.next // before e leaves the list
		if v := l.victim(e.client); v != nil {
			l.unlist(e)
			out = append(out, l.replace(v, e))
		}
	}
	l.expect()
	l.mu.Unlock()
	for _, c := range out {
		_ = c.Close() // it is gone either way
	}
	l.tell()
}

// replace gives v's place to e, and returns what is to be closed.
func (l *Limit) replace(v, e *entry) net.Conn {
	if v.state == idle {
		l.counts.ClosedIdle++
	} else {
		l.counts.CutActive++
		reset(v.conn)
	}
	l.report.of(v.client)
	l.enter(e) // first: the client may be the same, and is not to be forgotten
	l.remove(v)
	return v.conn
}

// reset has a connection end with a TCP reset when it is closed. Where no length was
// announced, as in HTTP/1.0, its end is the end of the answer, and an ordinary one would
// make that look complete.
func reset(c net.Conn) {
	if tcp, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0) // without it, Close is an ordinary one
	}
}

// admit takes a connection that was accepted. It returns one that is to be closed
// then, which may be the same; nil if none is.
func (l *Limit) admit(c net.Conn) (out net.Conn) {
	addr := addrOf(c)
	exempt := l.config.Exempt != nil && l.config.Exempt(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return c
	}
	e := &entry{conn: c, client: l.clients.of(addr, exempt)}
	if len(l.entries) < l.config.Max {
		l.enter(e)
		return nil
	}
	if v := l.victim(e.client); v != nil {
		return l.replace(v, e)
	}
	l.list(e, waits)
	l.expect()
	if l.waits <= l.config.MaxWaiting {
		return nil
	}
	v := l.mostWaiting().waiting.oldest()
	l.counts.Refused++
	l.report.of(v.client)
	l.unlist(v)
	l.clients.add(v.client, 0)
	return v.conn
}

// grace is how long a connection without a request is left alone, but for the sake of a
// client that has fewer: the request may be on its way.
const grace = time.Second

// victim is who makes room for a client's connection, nil if nobody does.
func (l *Limit) victim(newcomer *client) *entry {
	hog := l.clients.most.first()
	if hog != nil && hog.conns > l.share() {
		if v := hog.idle.oldest(); v != nil && (hog != newcomer || v.isOld()) {
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
	if hog != nil && hog != newcomer && hog.conns > l.config.Max/4 && hog.conns >= 2*(newcomer.conns+1) {
		return hog.active.oldest()
	}
	return nil
}

func (e *entry) isOld() bool { return time.Since(e.since) >= grace }

// share is how many connections a client may have before its own go first.
func (l *Limit) share() int { return max(l.config.Max/16, 16) }

// mostWaiting is the client that has most connections waiting; there is one.
func (l *Limit) mostWaiting() *client {
	var most *client
	for n := l.waiting.root.next; n.entry != nil; n = n.next {
		if c := n.entry.client; most == nil || c.waits > most.waits {
			most = c
		}
	}
	return most
}

package fcgitest

import (
	"io"
	"net"
	"runtime"
	"slices"
	"time"
)

// Session is one connection for a script. If the connection is closed, its methods end the script, or the
// goroutine of one request.
type Session struct {
	net.Conn
	peer    *Peer
	mux     *mux          // nil unless the script is multiplexed
	sending chan struct{} // holds a token during a write
	killed  chan struct{} // closed when the process of the script must end
	silent  bool          // the first record must come before the read deadline
	padding byte          // bytes of it in the last GET_VALUES

	// onAbort handles ABORT_REQUEST while STDIN of r is read, or between requests if r is nil. If
	// onAbort is nil, the test fails.
	onAbort func(r *Request)

	// Guarded by peer.mu.
	busy   bool // a request has begun, and the script is not ready for the next
	queued bool // waits for a worker, as if in the backlog
	dead   bool // killed is closed
}

func newSession(c net.Conn, p *Peer) *Session {
	return &Session{Conn: c, peer: p, sending: make(chan struct{}, 1), killed: make(chan struct{})}
}

// Request is a received request. The script owns it until it is answered.
type Request struct {
	ID     uint16
	Role   uint16
	Flags  byte
	Params []Param
	// ParamsRecords has the number of pairs in each PARAMS record. A pair across records ends the
	// script and fails the test.
	ParamsRecords []int
	Stdin         []byte
	// StdinEnded reports whether STDIN was read to its end.
	StdinEnded bool

	nth     int           // number in its connection, from 1, in order of completion; multiplexed only
	aborted chan struct{} // closed by ABORT_REQUEST
}

// Aborted returns a channel that is closed when a [Multiplexed] script has received ABORT_REQUEST for r.
func (r *Request) Aborted() <-chan struct{} { return r.aborted }

// Param returns the value of a parameter, "" if it is not there.
func (r *Request) Param(name string) string {
	for _, p := range r.Params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Request reads the next request completely.
func (s *Session) Request() *Request {
	r := s.Head()
	for s.Stdin(r) != nil {
	}
	return r
}

// Head reads the next request up to the end of its PARAMS.
func (s *Session) Head() *Request {
	s.setBusy(false)
	rec := s.nextOf(nil)
	for rec.typ == GetValues {
		s.answerValues(rec)
		rec = s.nextOf(nil)
	}
	r := s.begin(rec)
	s.setBusy(true)
	for {
		content := s.stream(r, Params)
		if len(content) == 0 {
			return r
		}
		s.params(r, content)
	}
}

// begin returns a request for a BEGIN_REQUEST record.
func (s *Session) begin(rec record) *Request {
	if rec.typ != BeginRequest || rec.id == 0 || len(rec.content) != 8 {
		s.fail("want BEGIN_REQUEST, got type %d, id %d, % x", rec.typ, rec.id, rec.content)
	}
	r := &Request{
		ID:      rec.id,
		Role:    uint16(rec.content[0])<<8 | uint16(rec.content[1]),
		Flags:   rec.content[2],
		aborted: make(chan struct{}),
	}
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	s.peer.requests = append(s.peer.requests, r)
	return r
}

// params adds the pairs of one PARAMS record.
func (s *Session) params(r *Request, content []byte) {
	params, err := parseParams(content)
	if err != nil {
		s.fail("PARAMS record %d: %v", len(r.ParamsRecords)+1, err)
	}
	r.Params = append(r.Params, params...)
	r.ParamsRecords = append(r.ParamsRecords, len(params))
}

func (s *Session) setBusy(busy bool) {
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	s.busy = busy
}

// Stdin reads the next record of r's STDIN and returns its content, nil at the
// end.
func (s *Session) Stdin(r *Request) []byte {
	content := s.stream(r, Stdin)
	if len(content) == 0 {
		r.StdinEnded = true
		return nil
	}
	r.Stdin = append(r.Stdin, content...)
	return content
}

func (s *Session) stream(r *Request, typ byte) []byte {
	rec := s.nextOf(r)
	if rec.typ != typ || rec.id != r.ID {
		s.fail("want type %d for request %d, got type %d for %d", typ, r.ID, rec.typ, rec.id)
	}
	return rec.content
}

// nextOf returns the next record other than ABORT_REQUEST.
func (s *Session) nextOf(r *Request) record {
	rec := s.next()
	for rec.typ == AbortRequest && s.onAbort != nil {
		s.onAbort(r)
		rec = s.next()
	}
	return rec
}

func (s *Session) next() record {
	rec, err := readRecord(s.Conn)
	if err != nil {
		runtime.Goexit() // the other side has closed; Peer.hangUp closes this one
	}
	s.heard()
	return rec
}

// fail fails the test because of an invalid record.
func (s *Session) fail(format string, args ...any) {
	s.peer.t.Errorf("fcgitest: "+format, args...)
	runtime.Goexit()
}

// Send writes records: each with a write of its own, or, if the script is multiplexed, all with one write.
// No other records are written between them.
func (s *Session) Send(records ...[]byte) {
	s.sending <- struct{}{}
	defer func() { <-s.sending }()
	if s.mux != nil {
		records = [][]byte{slices.Concat(records...)}
		s.mux.sent(records[0])
	}
	for _, rec := range records {
		if _, err := s.Write(rec); err != nil {
			runtime.Goexit()
		}
	}
}

// Hold waits until the test has ended or the peer is stopped, whatever happens on the connection, like an
// application that computes.
func (s *Session) Hold() { <-s.killed }

// HoldFor is Hold for at most d.
func (s *Session) HoldFor(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.killed:
	}
}

// Gone reads and discards until the peer has closed.
func (s *Session) Gone() { _, _ = io.Copy(io.Discard, s.Conn) }

// quit ends the script; its connection is closed then.
func (s *Session) quit() { runtime.Goexit() }

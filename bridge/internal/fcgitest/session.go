package fcgitest

import (
	"io"
	"net"
	"runtime"
	"time"
)

// Session is one connection while a script plays it. Its methods end the script
// when the connection is gone.
type Session struct {
	net.Conn
	peer *Peer
}

// Request is one that was received. It belongs to the script until the request
// has been answered.
type Request struct {
	ID     uint16
	Role   uint16
	Flags  byte
	Params []Param
	// ParamsRecords holds how many pairs each PARAMS record carried. A pair that
	// crosses records ends the script and fails the test.
	ParamsRecords []int
	Stdin         []byte
	// StdinEnded reports whether STDIN was read to its end.
	StdinEnded bool
}

// Param returns the value of a parameter, "" if it is not there.
func (r *Request) Param(name string) string {
	for _, p := range r.Params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Request reads the next request whole.
func (s *Session) Request() *Request {
	r := s.Head()
	for s.Stdin(r) != nil {
	}
	return r
}

// Head reads the next request up to the end of its PARAMS.
func (s *Session) Head() *Request {
	rec := s.next()
	if rec.typ != BeginRequest || rec.id == 0 || len(rec.content) != 8 {
		s.fail("want BEGIN_REQUEST, got type %d, id %d, % x", rec.typ, rec.id, rec.content)
	}
	r := &Request{ID: rec.id, Role: uint16(rec.content[0])<<8 | uint16(rec.content[1]), Flags: rec.content[2]}
	s.peer.mu.Lock()
	s.peer.requests = append(s.peer.requests, r)
	s.peer.mu.Unlock()
	for {
		rec := s.stream(r, Params)
		if len(rec) == 0 {
			return r
		}
		params, err := parseParams(rec)
		if err != nil {
			s.fail("PARAMS record %d: %v", len(r.ParamsRecords)+1, err)
		}
		r.Params = append(r.Params, params...)
		r.ParamsRecords = append(r.ParamsRecords, len(params))
	}
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
	rec := s.next()
	if rec.typ != typ || rec.id != r.ID {
		s.fail("want type %d for request %d, got type %d for %d", typ, r.ID, rec.typ, rec.id)
	}
	return rec.content
}

func (s *Session) next() record {
	rec, err := readRecord(s.Conn)
	if err != nil {
		runtime.Goexit() // the other side has closed; Peer.left closes this one
	}
	return rec
}

// fail fails the test: no script is sent what makes no sense.
func (s *Session) fail(format string, args ...any) {
	s.peer.t.Errorf("fcgitest: "+format, args...)
	runtime.Goexit()
}

// Send writes records.
func (s *Session) Send(records ...[]byte) {
	for _, rec := range records {
		if _, err := s.Write(rec); err != nil {
			runtime.Goexit()
		}
	}
}

// Hold waits until the test is over, whatever the other side does, as an
// application does that computes without looking at its connection.
func (s *Session) Hold() { <-s.peer.done }

// HoldFor is Hold for at most d.
func (s *Session) HoldFor(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.peer.done:
	}
}

// Gone reads and drops what comes until the other side has closed.
func (s *Session) Gone() { _, _ = io.Copy(io.Discard, s.Conn) }

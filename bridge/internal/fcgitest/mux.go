package fcgitest

import (
	"encoding/binary"
	"sync"
)

// Multiplexed answers every request of a connection with f, each in a goroutine of its own that starts when
// the request is complete. Meanwhile it continues to read, and answers GET_VALUES.
//
// An id is in use from BEGIN_REQUEST until END_REQUEST is sent: a second BEGIN_REQUEST in between fails the
// test. So does a record without a request, except ABORT_REQUEST and an end of STDIN, which may cross
// END_REQUEST.
//
// When the peer closes, or closes its sending side, the connection is closed. Requests in progress notice
// that only when they send.
func Multiplexed(f func(*Session, *Request)) Script {
	return muxRules{limit: maxRequests, deafAfter: -1}.script(f)
}

// maxRequests is the number of ids.
const maxRequests = 65535

// muxRules configures a multiplexing application.
type muxRules struct {
	limit     int  // requests served at once; others are ended with refusal
	refusal   byte // a protocol status
	deafAfter int  // requests after which it stops reading; negative: never
}

func (rules muxRules) script(f func(*Session, *Request)) Script {
	return func(s *Session) {
		m := &mux{muxRules: rules, session: s, serve: f, live: make(map[uint16]*muxRequest)}
		s.mux = m
		defer m.handlers.Wait()
		defer s.peer.hangUp(s)
		m.read()
	}
}

// mux is the state of one multiplexed connection.
type mux struct {
	muxRules
	session  *Session
	serve    func(*Session, *Request)
	handlers sync.WaitGroup
	complete int // complete requests; owned by read

	mu      sync.Mutex
	live    map[uint16]*muxRequest // begun, END_REQUEST not sent
	serving int                    // those of live that are not refused
}

// muxRequest is a request and its progress.
type muxRequest struct {
	*Request
	refused     bool
	paramsEnded bool
	isAborted   bool
}

// read reads records until the connection ends.
func (m *mux) read() {
	for m.complete != m.deafAfter {
		rec := m.session.next()
		switch rec.typ {
		case GetValues:
			m.session.answerValues(rec)
		case BeginRequest:
			m.begin(rec)
		case AbortRequest:
			m.abort(rec)
		case Params, Stdin:
			m.stream(rec)
		default:
			m.session.fail("got type %d, id %d", rec.typ, rec.id)
		}
	}
	m.session.Hold()
}

func (m *mux) begin(rec record) {
	m.mu.Lock()
	old := m.live[rec.id]
	m.mu.Unlock()
	if old != nil {
		m.session.fail("request %d is begun again while it is in progress", rec.id)
	}
	r := &muxRequest{Request: m.session.begin(rec)}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live[r.ID] = r
	m.session.setBusy(true)
	r.refused = m.serving >= m.limit
	if !r.refused {
		m.serving++
	}
}

func (m *mux) abort(rec record) {
	r := m.find(rec.id)
	if r != nil && !r.isAborted {
		r.isAborted = true
		close(r.aborted)
	}
}

func (m *mux) find(id uint16) *muxRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live[id]
}

func (m *mux) stream(rec record) {
	r := m.find(rec.id)
	ends := len(rec.content) == 0
	switch {
	case rec.typ == Stdin && ends && (r == nil || r.StdinEnded):
		return
	case r == nil:
		m.session.fail("type %d for request %d, which is not in progress", rec.typ, rec.id)
	case (rec.typ == Params) == r.paramsEnded, r.StdinEnded:
		m.session.fail("type %d for request %d out of order", rec.typ, rec.id)
	case rec.typ == Params && ends:
		r.paramsEnded = true
	case rec.typ == Params:
		m.session.params(r.Request, rec.content)
	case ends:
		r.StdinEnded = true
		m.completed(r)
	default:
		r.Stdin = append(r.Stdin, rec.content...)
	}
}

// completed serves a complete request, or refuses it.
func (m *mux) completed(r *muxRequest) {
	m.complete++
	r.nth = m.complete
	if r.refused {
		m.session.Send(EndStatus(r.ID, m.refusal))
		return
	}
	m.handlers.Go(func() { m.serve(m.session, r.Request) })
}

// sent is called before records are written: END_REQUEST frees an id, and the peer may use it again before
// the write returns.
func (m *mux) sent(b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(b) >= 8 {
		id := binary.BigEndian.Uint16(b[2:])
		if r := m.live[id]; r != nil && b[1] == EndRequest {
			delete(m.live, id)
			if !r.refused {
				m.serving--
			}
		}
		size := 8 + int(binary.BigEndian.Uint16(b[4:])) + int(b[6])
		b = b[min(len(b), size):]
	}
	m.session.setBusy(len(m.live) > 0)
}

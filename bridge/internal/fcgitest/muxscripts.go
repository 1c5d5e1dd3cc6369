package fcgitest

import (
	"fmt"
	"strings"
	"time"
)

// aWhile is how long multiplexed applications serve a request that refuse others
// meanwhile.
const aWhile = 100 * time.Millisecond

// Multiplexed applications that behave.
var (
	// MuxPage answers Page.
	MuxPage = MuxAfter(0, Page)

	// MuxEcho answers with the URI of the request, so that a test sees whose answer
	// it got.
	MuxEcho = Multiplexed(func(s *Session, r *Request) { s.Send(Out(r.ID, EchoPage(r)), End(r.ID)) })

	// MuxHold says nothing until a request is aborted, then ends it.
	MuxHold = Multiplexed(func(s *Session, r *Request) {
		if s.untilAborted(r) {
			s.Send(End(r.ID))
		}
	})
)

// EchoPage is what MuxEcho answers: the body is "uri=" and REQUEST_URI or, where
// there is none, QUERY_STRING.
func EchoPage(r *Request) string { return "Content-Type: text/plain\n\nuri=" + uri(r) }

func uri(r *Request) string {
	if uri := r.Param("REQUEST_URI"); uri != "" {
		return uri
	}
	return r.Param("QUERY_STRING")
}

// MuxAfter answers every request with the CGI response text, d after it came.
func MuxAfter(d time.Duration, text string) Script { return Multiplexed(after(d, text)) }

func after(d time.Duration, text string) func(*Session, *Request) {
	return func(s *Session, r *Request) {
		if d > 0 {
			s.HoldFor(d)
		}
		s.Send(Out(r.ID, text), End(r.ID))
	}
}

// MuxInterleaved answers with n lines, one each d, that say the request's URI and
// their number from 0; those of several requests interleave.
func MuxInterleaved(n int, d time.Duration) Script {
	return Multiplexed(func(s *Session, r *Request) {
		s.Send(Out(r.ID, "Content-Type: text/plain\n\n"))
		for i := range n {
			s.HoldFor(d)
			s.Send(Out(r.ID, fmt.Sprintf("%s %d\n", uri(r), i)))
		}
		s.Send(End(r.ID))
	})
}

// MuxBig answers with n bytes of body, record by record.
func MuxBig(n int) Script {
	return Multiplexed(func(s *Session, r *Request) {
		s.Send(Out(r.ID, "Content-Type: application/octet-stream\n\n"))
		for left := n; left > 0; left -= min(left, maxContent) {
			s.Send(Out(r.ID, strings.Repeat("x", min(left, maxContent))))
		}
		s.Send(End(r.ID))
	})
}

// MuxIgnoresAbort does not look at ABORT_REQUEST: it answers a minute later.
var MuxIgnoresAbort = MuxAfter(time.Minute, Page)

// MuxAbortTail does as Go's net/http/fcgi when a handler does not look at its
// context: an aborted request is ended at once, and d later come the handler's
// answer and a second end. A request that is not aborted within d is answered
// then, as MuxEcho does.
func MuxAbortTail(d time.Duration) Script {
	return Multiplexed(func(s *Session, r *Request) {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.killed:
		case <-r.Aborted():
			s.Send(End(r.ID))
			s.HoldFor(d)
		}
		s.Send(Out(r.ID, EchoPage(r)), End(r.ID))
	})
}

// MuxCutRecord closes in the middle of a record of its first answer.
var MuxCutRecord = Multiplexed(func(s *Session, r *Request) {
	s.Send(Out(r.ID, Page)[:20])
	s.peer.hangUp(s)
})

// MuxDies answers n requests of a connection with Page. In the middle of the next
// answer it closes; requests after that one get nothing.
func MuxDies(n int) Script {
	return Multiplexed(func(s *Session, r *Request) {
		switch {
		case r.nth <= n:
			s.Send(Out(r.ID, Page), End(r.ID))
		case r.nth == n+1:
			s.HoldFor(time.Millisecond) // the answers before this one go first
			s.Send(Out(r.ID, "Content-Length: 100\n\nThe first of "))
			s.peer.hangUp(s)
		}
	})
}

// MuxDeafTo answers n requests of a connection with Page and reads nothing after
// them, while the connection stays open.
func MuxDeafTo(n int) Script {
	return muxRules{limit: maxRequests, deafAfter: n}.script(after(0, Page))
}

// Multiplexed applications that send what nobody asked for.
var (
	// MuxStray sends an answer to a request that was never begun before each of
	// its answers, which are those of MuxEcho. Tests must not use ids above 32767.
	MuxStray = Multiplexed(func(s *Session, r *Request) {
		s.Send(Out(r.ID^0x8000, Page), End(r.ID^0x8000))
		s.Send(Out(r.ID, EchoPage(r)), End(r.ID))
	})

	// MuxFreedStray answers as MuxEcho and ends every request twice, in the same
	// instant.
	MuxFreedStray = Multiplexed(func(s *Session, r *Request) {
		s.Send(Out(r.ID, EchoPage(r)), End(r.ID), End(r.ID))
	})
)

// CantMpx serves one request of a connection at a time, 100 ms each, with Page,
// and ends those begun meanwhile with FCGI_CANT_MPX_CONN, as libfcgi does.
var CantMpx = muxRules{limit: 1, refusal: CantMpxConn, deafAfter: -1}.script(after(aWhile, Page))

// MuxOverloaded serves up to limit requests of a connection at a time, 100 ms
// each, with Page, and ends further ones with FCGI_OVERLOADED.
func MuxOverloaded(limit int) Script {
	return muxRules{limit: limit, refusal: Overloaded, deafAfter: -1}.script(after(aWhile, Page))
}

// untilAborted reports whether r is aborted before the peer is stopped.
func (s *Session) untilAborted(r *Request) bool {
	select {
	case <-r.Aborted():
		return true
	case <-s.killed:
		return false
	}
}

package fcgitest

import (
	"fmt"
	"strings"
	"time"
)

// aWhile is how long an application with a limit serves a request, and refuses others.
const aWhile = 100 * time.Millisecond

// Well-behaved multiplexing applications.
var (
	// MuxPage answers Page.
	MuxPage = MuxAfter(0, Page)

	// MuxEcho answers with the URI of the request, which identifies the answer.
	MuxEcho = Multiplexed(func(s *Session, r *Request) { s.Send(Out(r.ID, EchoPage(r)), End(r.ID)) })

	// MuxHold sends nothing until the request is aborted, then ends it.
	MuxHold = Multiplexed(func(s *Session, r *Request) {
		if s.untilAborted(r) {
			s.Send(End(r.ID))
		}
	})
)

// EchoPage is the answer of MuxEcho: the body is "uri=" and REQUEST_URI, or QUERY_STRING without one.
func EchoPage(r *Request) string { return "Content-Type: text/plain\n\nuri=" + uri(r) }

func uri(r *Request) string {
	if uri := r.Param("REQUEST_URI"); uri != "" {
		return uri
	}
	return r.Param("QUERY_STRING")
}

// MuxAfter answers every request with the CGI response text, d after its arrival.
func MuxAfter(d time.Duration, text string) Script { return Multiplexed(after(d, text)) }

func after(d time.Duration, text string) func(*Session, *Request) {
	return func(s *Session, r *Request) {
		if d > 0 {
			s.HoldFor(d)
		}
		s.Send(Out(r.ID, text), End(r.ID))
	}
}

// MuxInterleaved answers with n lines, one every d, with the request's URI and a number from 0. The lines of
// several requests interleave.
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

// MuxIgnoresAbort ignores ABORT_REQUEST, and answers a minute later.
var MuxIgnoresAbort = MuxAfter(time.Minute, Page)

// MuxAbortTail behaves like Go's net/http/fcgi with a handler that ignores its context: an aborted request is
// ended at once, and d later the handler's answer and a second end follow. A request that is not aborted
// within d is then answered as by MuxEcho.
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

// Multiplexing applications that send unrequested records.
var (
	// MuxStray sends an answer to a request that was never begun before each of
	// its answers, which are those of MuxEcho. Tests must not use ids above 32767.
	MuxStray = Multiplexed(func(s *Session, r *Request) {
		s.Send(Out(r.ID^0x8000, Page), End(r.ID^0x8000))
		s.Send(Out(r.ID, EchoPage(r)), End(r.ID))
	})

	// MuxFreedStray answers as MuxEcho and ends every request twice at once.
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

package fcgitest

import (
	"fmt"
	"strings"
	"time"
)

// Page is the answer of the scripts that answer properly. Other scripts send a part of it.
const Page = "Content-Type: text/plain\r\nX-Page: 1\r\n\r\nHello from the application.\n"

// PageBody is the body of Page.
const PageBody = "Hello from the application.\n"

// Good returns Page in records: a line on STDERR, STDOUT in two records with padding, the ends of both
// streams, END_REQUEST.
func Good(id uint16) []byte {
	b := Record(Stderr, id, []byte("a warning\n"))
	b = append(b, Padded(Stdout, id, []byte(Page[:20]), 4)...)
	b = append(b, Padded(Stdout, id, []byte(Page[20:]), 7)...)
	b = append(b, Record(Stdout, id, nil)...)
	b = append(b, Record(Stderr, id, nil)...)
	return append(b, End(id)...)
}

// Each answers every request on a connection with f, one after the other. It
// ignores FCGI_KEEP_CONN, which every request of Sluice sets.
func Each(f func(*Session, *Request)) Script {
	return func(s *Session) {
		for {
			f(s, s.Request())
		}
	}
}

// Once answers one request with f and closes.
func Once(f func(*Session, *Request)) Script {
	return func(s *Session) { f(s, s.Request()) }
}

// First answers one request with the CGI response text, and then plays the script then on the same
// connection.
func First(text string, then Script) Script {
	return func(s *Session) {
		r := s.Request()
		s.Send(Out(r.ID, text), End(r.ID))
		then(s)
	}
}

// Hello answers Page and keeps the connection.
var Hello = Answer(Page)

// Answer answers every request with the CGI response text.
func Answer(text string) Script {
	return Each(func(s *Session, r *Request) {
		s.Send(Out(r.ID, text), End(r.ID))
	})
}

// AnswerAfter is Answer with a pause between the request and the answer.
func AnswerAfter(d time.Duration, text string) Script {
	return Each(func(s *Session, r *Request) {
		s.HoldFor(d)
		s.Send(Out(r.ID, text), End(r.ID))
	})
}

// Echo answers with the request's method, URI and body.
var Echo = Each(func(s *Session, r *Request) {
	s.Send(Out(r.ID, fmt.Sprintf("Content-Type: text/plain\n\n%s %s %s\n%s",
		r.Param("REQUEST_METHOD"), r.Param("REQUEST_URI"), r.Param("CONTENT_LENGTH"), r.Stdin)), End(r.ID))
})

// Ticks streams n lines as events, one every d, then ends.
func Ticks(n int, d time.Duration) Script {
	return Each(func(s *Session, r *Request) {
		s.Send(Out(r.ID, "Content-Type: text/event-stream\n\n"))
		for i := range n {
			s.Send(Out(r.ID, fmt.Sprintf("data: %d\n\n", i)))
			s.HoldFor(d)
		}
		s.Send(End(r.ID))
	})
}

// Bytes answers with n bytes of body.
func Bytes(n int) Script {
	return Each(func(s *Session, r *Request) {
		s.Send(Out(r.ID, "Content-Type: application/octet-stream\n\n"))
		for left := n; left > 0; left -= min(left, maxContent) {
			s.Send(Out(r.ID, strings.Repeat("x", min(left, maxContent))))
		}
		s.Send(End(r.ID))
	})
}

package fcgitest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Applications that go away.
var (
	// AcceptThenClose closes a connection without reading, as flup does when all its threads are
	// busy.
	AcceptThenClose Script = func(*Session) {}

	// ResetBeforeReading closes after a request has arrived, with all bytes but one unread.
	ResetBeforeReading Script = func(s *Session) { s.readByte() }

	// ResetInScript reads PARAMS, leaves STDIN unread and closes, as a PHP process that is killed in
	// the middle of a script.
	ResetInScript Script = func(s *Session) { s.Head() }

	// EOFBeforeHeader reads a request and closes.
	EOFBeforeHeader = Once(func(*Session, *Request) {})

	// EOFInHeader closes in the middle of the CGI header.
	EOFInHeader = Once(func(s *Session, r *Request) { s.Send(Out(r.ID, "Content-Type: text/pl")) })

	// EOFInBody closes after some of the body.
	EOFInBody = Once(func(s *Session, r *Request) { s.Send(Out(r.ID, "Content-Length: 100\n\nThe first of ")) })

	// CloseAfterEnd sends the end of its answer and of the connection in the same
	// instant, as PHP-FPM does after pm.max_requests.
	CloseAfterEnd = Once(func(s *Session, r *Request) { s.Send(append(Out(r.ID, Page), End(r.ID)...)) })

	// SilentForever reads a request and does nothing; it does not notice that the peer has
	// closed.
	SilentForever = Once(func(s *Session, _ *Request) { s.Hold() })

	// ReadsNothing accepts and never reads.
	ReadsNothing Script = (*Session).Hold

	// IgnoresAbort ignores ABORT_REQUEST, and answers a minute later.
	IgnoresAbort = AnswerAfter(time.Minute, Page)
)

// EOFAt closes after the first n bytes of Good.
func EOFAt(n int) Script {
	return Once(func(s *Session, r *Request) { s.Send(Good(r.ID)[:n]) })
}

// CloseWhenIdle answers one request and closes d later.
func CloseWhenIdle(d time.Duration) Script {
	return Once(func(s *Session, r *Request) {
		s.Send(Out(r.ID, Page), End(r.ID))
		s.HoldFor(d)
	})
}

// Applications that end their answers in unusual ways.
var (
	// EndWithoutStdout ends a request without output.
	EndWithoutStdout = Each(func(s *Session, r *Request) { s.Send(End(r.ID)) })

	// StderrOnly writes to STDERR only.
	StderrOnly = Each(func(s *Session, r *Request) { s.Send(Record(Stderr, r.ID, []byte("no such module\n")), End(r.ID)) })

	// HeaderWithoutEnd ends the request before the empty line.
	HeaderWithoutEnd = Each(func(s *Session, r *Request) { s.Send(Out(r.ID, "Content-Type: text/plain\n"), End(r.ID)) })

	// StdoutAfterEnd sends STDOUT immediately after END_REQUEST.
	StdoutAfterEnd = Each(func(s *Session, r *Request) {
		s.Send(slices.Concat(Out(r.ID, Page), End(r.ID), Out(r.ID, "And another thing.")))
	})

	// TwoEnds ends a request twice, as Go's net/http/fcgi does after an abort.
	TwoEnds = Each(func(s *Session, r *Request) { s.Send(slices.Concat(Out(r.ID, Page), End(r.ID), End(r.ID))) })

	// LateEnd ends a request twice, the second time a second later.
	LateEnd = Each(func(s *Session, r *Request) {
		s.Send(Out(r.ID, Page), End(r.ID))
		s.HoldFor(time.Second)
		s.Send(End(r.ID))
	})
)

// Applications that break the format.
var (
	WrongRequestID = instead(func(id uint16) []byte { return Out(id+1, Page) })
	RequestIDZero  = instead(func(uint16) []byte { return Out(0, Page) })
	UnknownType    = instead(func(id uint16) []byte { return Record(99, id, []byte("what is this")) })
	BadVersion     = instead(func(uint16) []byte { return []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") })
	BadEndLength   = instead(func(id uint16) []byte { return append(Out(id, Page), Record(EndRequest, id, make([]byte, 7))...) })
	BadEndStatus   = instead(func(id uint16) []byte { return append(Out(id, Page), EndStatus(id, 99)...) })

	// Management sends a record that is only valid as the answer to a management record.
	Management = instead(func(uint16) []byte { return Record(UnknownTypeRecord, 0, []byte{99, 0, 0, 0, 0, 0, 0, 0}) })
)

// instead sends the bytes of f and waits for the peer to close.
func instead(f func(id uint16) []byte) Script {
	return Once(func(s *Session, r *Request) {
		s.Send(f(r.ID))
		s.Gone()
	})
}

// Applications with unusual but valid records.
var (
	// PaddedRecords pads every record with 255 bytes.
	PaddedRecords = Each(func(s *Session, r *Request) {
		s.Send(
			Padded(Stderr, r.ID, []byte("padded\n"), 255),
			Padded(Stdout, r.ID, []byte(Page), 255),
			Padded(Stdout, r.ID, nil, 255),
			Padded(EndRequest, r.ID, make([]byte, 8), 255),
		)
	})

	// ByteAtATime sends Good one byte each millisecond.
	ByteAtATime = Each(func(s *Session, r *Request) {
		for _, b := range Good(r.ID) {
			s.Send([]byte{b})
			s.HoldFor(time.Millisecond)
		}
	})

	// ByteRecords sends Page in records of one byte.
	ByteRecords = Each(func(s *Session, r *Request) {
		var all []byte
		for i := range len(Page) {
			all = append(all, Out(r.ID, Page[i:i+1])...)
		}
		s.Send(all, End(r.ID))
	})

	// BodyUnread answers without reading STDIN, and keeps the connection open.
	BodyUnread Script = func(s *Session) {
		r := s.Head()
		s.Send(Out(r.ID, Page), End(r.ID))
		s.Hold()
	}

	// EarlyAnswer answers before it reads STDIN.
	EarlyAnswer Script = func(s *Session) {
		for {
			r := s.Head()
			s.Send(Out(r.ID, Page), End(r.ID))
			for s.Stdin(r) != nil {
			}
		}
	}
)

// SplitAt sends the first n bytes of Good, and the rest a millisecond later.
func SplitAt(n int) Script {
	return Each(func(s *Session, r *Request) {
		s.Send(Good(r.ID)[:n])
		s.HoldFor(time.Millisecond)
		s.Send(Good(r.ID)[n:])
	})
}

// HugeHeader sends a header of more than n bytes, and a page.
func HugeHeader(n int) Script {
	return Each(func(s *Session, r *Request) {
		line := "X-Filler: " + strings.Repeat("x", 1000) + "\n"
		s.Send(Out(r.ID, strings.Repeat(line, n/len(line)+1)+Page), End(r.ID))
	})
}

// SlowBody sends a header at once, then n lines, one every d.
func SlowBody(n int, d time.Duration) Script {
	return Each(func(s *Session, r *Request) {
		s.Send(Out(r.ID, "Content-Type: text/plain\n\n"))
		for i := range n {
			s.HoldFor(d)
			s.Send(Out(r.ID, fmt.Sprintf("line %d\n", i)))
		}
		s.Send(End(r.ID))
	})
}

// StderrFlood writes n bytes of lines to STDERR before it answers.
func StderrFlood(n int) Script {
	return Each(func(s *Session, r *Request) {
		rec := Record(Stderr, r.ID, []byte(strings.Repeat(strings.Repeat("e", 99)+"\n", 600)))
		for sent := 0; sent < n; sent += 60_000 {
			s.Send(rec)
		}
		s.Send(Out(r.ID, Page), End(r.ID))
	})
}

// Refuse ends every request with a protocol status.
func Refuse(status byte) Script {
	return Each(func(s *Session, r *Request) { s.Send(EndStatus(r.ID, status)) })
}

// OverloadedFor ends requests with FCGI_OVERLOADED until a connection is d old,
// then serves them.
func OverloadedFor(d time.Duration) Script {
	return func(s *Session) {
		from := time.Now()
		Each(func(s *Session, r *Request) {
			if time.Since(from) < d {
				s.Send(EndStatus(r.ID, Overloaded))
				return
			}
			s.Send(Out(r.ID, Page), End(r.ID))
		})(s)
	}
}

func (s *Session) readByte() {
	var b [1]byte
	_, _ = s.Read(b[:])
}

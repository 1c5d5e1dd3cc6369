package fcgitest

import (
	"slices"
	"time"
)

// Pace is the timing and grouping of an answer's bytes. Their meaning must not depend on it.
type Pace uint8

const (
	Unhurried  Pace = iota // record by record, 50 ms apart
	ByteByByte             // a byte each millisecond
	AtOnce                 // all bytes in one write
)

func (p Pace) String() string {
	return [...]string{"record by record", "byte by byte", "in one write"}[p]
}

// Ending is how an answer ends.
type Ending uint8

const (
	Ended     Ending = iota // the end of STDOUT, and END_REQUEST
	EndedOnly               // END_REQUEST, without the end of STDOUT
	EndedLate               // the end of STDOUT, and END_REQUEST ten seconds later
	LateOnly                // END_REQUEST ten seconds later
	ClosedOut               // the end of STDOUT, and the end of the connection
	HungUp                  // the end of the connection
)

// Says answers the first request of a connection with parts of a CGI response, each a record, at a pace and
// with an ending. It answers further requests with Page. An empty part is an empty record.
func Says(p Pace, e Ending, parts ...string) Script {
	return func(s *Session) {
		if s.says(s.Request(), p, e, parts) {
			Hello(s)
		}
	}
}

// MuxSays is Says for an application that multiplexes.
func MuxSays(p Pace, e Ending, parts ...string) Script {
	return Multiplexed(func(s *Session, r *Request) {
		switch {
		case r.nth > 1:
			s.Send(Out(r.ID, Page), End(r.ID))
		case !s.says(r, p, e, parts):
			s.peer.hangUp(s)
		}
	})
}

// says answers r, and reports whether the connection is used again.
func (s *Session) says(r *Request, p Pace, e Ending, parts []string) (goesOn bool) {
	var records [][]byte
	for _, part := range parts {
		if part == "" {
			records = append(records, Record(Stdout, r.ID, nil))
			continue
		}
		records = append(records, Out(r.ID, part))
	}
	if e == Ended || e == EndedLate || e == ClosedOut {
		records = append(records, Record(Stdout, r.ID, nil))
	}
	if e == Ended || e == EndedOnly {
		records = append(records, End(r.ID))
	}
	s.pace(p, records)
	if e == EndedLate || e == LateOnly {
		s.HoldFor(10 * time.Second)
		s.Send(End(r.ID))
	}
	return e != ClosedOut && e != HungUp
}

// pace sends records at a pace.
func (s *Session) pace(p Pace, records [][]byte) {
	all := slices.Concat(records...)
	switch p {
	case Unhurried:
		for i, rec := range records {
			if i > 0 {
				s.HoldFor(50 * time.Millisecond)
			}
			s.Send(rec)
		}
	case AtOnce:
		s.Send(all)
	case ByteByByte:
		s.sendBytes(all)
	}
}

// sendBytes sends records, a byte every millisecond. No other records are sent between them.
func (s *Session) sendBytes(records []byte) {
	s.sending <- struct{}{}
	defer func() { <-s.sending }()
	for i := range records {
		if s.mux != nil && i == len(records)-1 {
			s.mux.sent(records)
		}
		if _, err := s.Write(records[i : i+1]); err != nil {
			s.quit()
		}
		s.HoldFor(time.Millisecond)
	}
}

package fcgitest

import "time"

// mpxsConns is the only variable that Sluice requests.
const mpxsConns = "FCGI_MPXS_CONNS"

// Values sets the answer to GET_VALUES, for scripts that read requests with [Session.Head],
// [Session.Request] or [Multiplexed]. answer is called by the reading script, with the requested names in
// order. The default is [ValuesLibfcgi].
func (p *Peer) Values(answer func(s *Session, names []string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.values = answer
}

// ValuesLibfcgi answers FCGI_MPXS_CONNS=0. It answers nothing to a record without padding: libfcgi then waits
// for more bytes.
func ValuesLibfcgi(s *Session, names []string) {
	if s.padding > 0 {
		libfcgiValues(s, names)
	}
}

// Answers that do not depend on the requested names.
var (
	libfcgiValues = ValuesOf(Param{"FCGI_MAX_CONNS", "1"}, Param{"FCGI_MAX_REQS", "1"}, Param{mpxsConns, "0"})

	// ValuesNo says that connections are not multiplexed, as PHP-FPM does.
	ValuesNo = ValuesOf(Param{mpxsConns, "0"})

	// ValuesPHP is the answer of a php-cgi that has two children.
	ValuesPHP = ValuesOf(Param{"FCGI_MAX_CONNS", "2"}, Param{"FCGI_MAX_REQS", "2"}, Param{mpxsConns, "0"})

	// ValuesTrac is the answer of Trac's bundled server, multiplexed. Its limits are wrong.
	ValuesTrac = ValuesOf(Param{"FCGI_MAX_CONNS", "20000"}, Param{"FCGI_MAX_REQS", "100000"}, Param{mpxsConns, "1"})
)

// ValuesOf answers with the requested variables that it has.
func ValuesOf(variables ...Param) func(*Session, []string) {
	return func(s *Session, names []string) {
		var known []Param
		for _, name := range names {
			for _, v := range variables {
				if v.Name == name {
					known = append(known, v)
				}
			}
		}
		s.Send(Record(GetValuesResult, 0, Pairs(known...)))
	}
}

// ValuesYes answers that connections are multiplexed, followed by an empty answer, as Go's net/http/fcgi
// does.
func ValuesYes(s *Session, names []string) {
	ValuesOf(Param{mpxsConns, "1"})(s, names)
	s.Send(Record(GetValuesResult, 0, nil))
}

// ValuesEmpty knows no variable, as flup.
func ValuesEmpty(s *Session, _ []string) { s.Send(Record(GetValuesResult, 0, nil)) }

// ValuesSilent never answers, as uWSGI.
func ValuesSilent(*Session, []string) {}

// ValuesUnknown answers FCGI_UNKNOWN_TYPE, d later.
func ValuesUnknown(d time.Duration) func(*Session, []string) {
	return func(s *Session, _ []string) {
		s.HoldFor(d)
		s.Send(Record(UnknownTypeRecord, 0, []byte{GetValues, 0, 0, 0, 0, 0, 0, 0}))
	}
}

// ValuesClose answers and closes, as old versions of PHP do; 8.2 does not.
func ValuesClose(s *Session, names []string) {
	ValuesNo(s, names)
	s.quit()
}

// ValuesDrop closes instead of an answer.
func ValuesDrop(s *Session, _ []string) { s.quit() }

// ValuesLate is ValuesNo, d later.
func ValuesLate(d time.Duration) func(*Session, []string) {
	return func(s *Session, names []string) {
		s.HoldFor(d)
		ValuesNo(s, names)
	}
}

// answerValues answers a GET_VALUES record.
func (s *Session) answerValues(rec record) {
	if rec.id != 0 {
		s.fail("GET_VALUES with id %d", rec.id)
	}
	params, err := parseParams(rec.content)
	if err != nil {
		s.fail("GET_VALUES: %v", err)
	}
	var names []string
	for _, p := range params {
		names = append(names, p.Name)
	}
	p := s.peer
	p.mu.Lock()
	p.asked = append(p.asked, names)
	answer := p.values
	p.mu.Unlock()
	s.padding = rec.padding
	answer(s, names)
}

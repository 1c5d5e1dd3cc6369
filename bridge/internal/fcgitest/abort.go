package fcgitest

// AbortsIgnored plays then, and drops ABORT_REQUEST wherever it comes, as flup
// does.
func AbortsIgnored(then Script) Script {
	return func(s *Session) {
		s.onAbort = func(*Request) {}
		then(s)
	}
}

// AbortsDeadly plays then, until it meets an ABORT_REQUEST: a request whose STDIN
// is being read is ended, and the connection closed. That is PHP, and libfcgi; as
// they do not read while they work, one that comes after STDIN is met when the
// answer has been sent.
func AbortsDeadly(then Script) Script {
	return func(s *Session) {
		s.onAbort = func(r *Request) {
			if r != nil {
				s.Send(End(r.ID))
			}
			s.quit()
		}
		then(s)
	}
}

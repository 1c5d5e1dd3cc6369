package fcgitest

// AbortsIgnored plays the script then and ignores every ABORT_REQUEST, as flup does.
func AbortsIgnored(then Script) Script {
	return func(s *Session) {
		s.onAbort = func(*Request) {}
		then(s)
	}
}

// AbortsDeadly plays the script then until it reads an ABORT_REQUEST: it then ends a request whose STDIN is
// being read, and closes the connection. PHP and libfcgi do so. They do not read while they work, so an
// ABORT_REQUEST after STDIN is read after the answer.
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

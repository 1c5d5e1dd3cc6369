package fcgitest

import "time"

// MaxRequests answers n requests with Page, and closes in the same instant as it
// ends the last, as PHP-FPM does after pm.max_requests.
func MaxRequests(n int) Script {
	return func(s *Session) {
		for range n - 1 {
			r := s.Request()
			s.Send(Out(r.ID, Page), End(r.ID))
		}
		CloseAfterEnd(s)
	}
}

// WorksOn answers with Page and takes the next request d later, as PHP does after
// fastcgi_finish_request.
func WorksOn(d time.Duration) Script {
	return Each(func(s *Session, r *Request) {
		s.Send(Out(r.ID, Page), End(r.ID))
		s.HoldFor(d)
	})
}

// BodyUnreadClosed answers without a look at STDIN and closes, as libfcgi does.
var BodyUnreadClosed Script = func(s *Session) {
	r := s.Head()
	s.Send(Out(r.ID, Page), End(r.ID))
}

// SmallParams answers with Page, unless names and values come to more than n
// bytes: then it does nothing for d and closes, as uWSGI with 4096 and 4 s.
func SmallParams(n int, d time.Duration) Script {
	return Each(func(s *Session, r *Request) {
		size := 0
		for _, p := range r.Params {
			size += len(p.Name) + len(p.Value)
		}
		if size > n {
			s.HoldFor(d)
			s.quit()
		}
		s.Send(Out(r.ID, Page), End(r.ID))
	})
}

// AcceptMutex answers requests with f in any number of threads, of which one at a
// time waits for a connection and for the first request on it, 2 s at most: while
// that one is silent nobody else is served. That is libfcgi's threaded example.
func AcceptMutex(f func(*Session, *Request)) Script {
	mutex := &workers{free: 1}
	return func(s *Session) {
		if !mutex.wait(s) {
			return
		}
		DropsSilent(2*time.Second, func(s *Session) {
			r := func() *Request {
				defer mutex.leave()
				return s.Head()
			}()
			for s.Stdin(r) != nil {
			}
			f(s, r)
			Each(f)(s)
		})(s)
	}
}

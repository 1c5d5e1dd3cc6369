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

// WorksOn answers with Page and reads the next request d later, as PHP does after
// fastcgi_finish_request. It leaves the end of STDIN unread until then.
func WorksOn(d time.Duration) Script {
	return LeavesStdin(func(s *Session, r *Request) {
		s.Send(Out(r.ID, Page), End(r.ID))
		s.HoldFor(d)
	})
}

// LeavesStdin answers every request on a connection with f, and reads STDIN after f has returned.
func LeavesStdin(f func(*Session, *Request)) Script {
	return func(s *Session) {
		for {
			r := s.Head()
			f(s, r)
			for s.Stdin(r) != nil {
			}
		}
	}
}

// BodyUnreadClosed answers without reading STDIN and closes, as libfcgi does.
var BodyUnreadClosed Script = func(s *Session) {
	r := s.Head()
	s.Send(Out(r.ID, Page), End(r.ID))
}

// SmallParams answers with Page. If names and values have more than n bytes, it does nothing for d and
// closes, as uWSGI does with 4096 and 4 s.
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

// AcceptMutex answers requests with f in any number of threads. One thread at a time waits for a
// connection and for the first request on it, 2 s at most; while that connection is silent, no other one
// is accepted. This is libfcgi's threaded example.
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

// AcceptLock answers requests with f in any number of threads. One thread at a time waits for a request,
// on a new connection or on the one that it has kept; while a kept connection is idle, no other one is
// served. This is libfcgi's threaded example with kept connections.
func AcceptLock(f func(*Session, *Request)) Script {
	lock := &workers{free: 1}
	return func(s *Session) {
		for {
			if !lock.wait(s) {
				return
			}
			r := func() *Request {
				defer lock.leave()
				return s.Request()
			}()
			f(s, r)
			if r.Flags&KeepConn == 0 {
				return
			}
		}
	}
}

package connlimit

import (
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Listener has the connections of a server, from any number of sockets, which may come and go.
type Listener struct {
	limit *Limit
	wake  chan struct{} // holds one value if ready may not be empty
	ended chan struct{} // closed when nothing is accepted any more, with err

	// limit.mu guards these.
	ready       []net.Conn // for Accept; they are in limit.entries already
	sources     []*source
	closed      bool
	err         error
	acceptEnded bool // Accept has returned its error
}

// source is a goroutine that accepts from a listener.
type source struct {
	net.Listener
	ended   chan struct{}
	closing chan struct{}
	close   func() error
}

// Listener returns a listener for the server, which accepts from these as Add says.
func (l *Limit) Listener(from ...net.Listener) *Listener {
	ln := &Listener{limit: l, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	l.mu.Lock()
	l.listeners = append(l.listeners, ln)
	l.mu.Unlock()
	for _, one := range from {
		ln.Add(one)
	}
	return ln
}

// Add has connections of a listener accepted at once, until remove is called. The Listener closes it.
// Connections that were accepted before remove returns are served.
func (ln *Listener) Add(from net.Listener) (remove func() error) {
	s := &source{Listener: from, ended: make(chan struct{}), closing: make(chan struct{})}
	s.close = sync.OnceValue(func() error {
		close(s.closing)
		err := s.Listener.Close()
		<-s.ended
		return err
	})
	ln.limit.mu.Lock()
	ln.sources = append(ln.sources, s)
	closed := ln.closed
	ln.limit.mu.Unlock()
	go ln.accept(s)
	if closed {
		_ = s.close() // nothing was accepted
	}
	return func() error {
		err := s.close()
		ln.limit.mu.Lock()
		defer ln.limit.mu.Unlock()
		ln.sources = slices.DeleteFunc(ln.sources, func(other *source) bool { return other == s })
		return err
	}
}

// Addr implements net.Listener. It is for the log.
func (ln *Listener) Addr() net.Addr {
	ln.limit.mu.Lock()
	defer ln.limit.mu.Unlock()
	var names []string
	for _, s := range ln.sources {
		names = append(names, s.Addr().String())
	}
	return address(strings.Join(names, ", "))
}

// address is that of several sockets.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// Accept returns the next connection of the server.
func (ln *Listener) Accept() (net.Conn, error) {
	l := ln.limit
	for {
		l.mu.Lock()
		if len(ln.ready) > 0 {
			c := ln.ready[0]
			ln.ready[0] = nil
			if ln.ready = ln.ready[1:]; len(ln.ready) == 0 {
				ln.ready = nil
			}
			here := l.entries[c] != nil
			l.mu.Unlock()
			if here { // otherwise it was closed for another
				return c, nil
			}
			continue
		}
		l.mu.Unlock()
		select {
		case <-ln.wake:
		case <-ln.ended:
			if err := ln.endAccept(); err != nil {
				return nil, err
			}
		}
	}
}

// endAccept returns the error of Accept if that has returned all connections that were accepted.
func (ln *Listener) endAccept() error {
	ln.limit.mu.Lock()
	defer ln.limit.mu.Unlock()
	if len(ln.ready) > 0 {
		return nil
	}
	ln.acceptEnded = true
	return ln.err
}

// Close ends accepting and closes the connections that Accept has not returned.
func (ln *Listener) Close() (err error) {
	ln.limit.mu.Lock()
	ln.closed = true
	sources := slices.Clone(ln.sources)
	ln.limit.mu.Unlock()
	for _, s := range sources {
		err = errors.Join(err, s.close())
	}
	ln.end(net.ErrClosed)
	ln.limit.closeUnserved(ln)
	return err
}

// end has Accept return err after the connections that were accepted.
func (ln *Listener) end(err error) {
	ln.limit.mu.Lock()
	defer ln.limit.mu.Unlock()
	if ln.err == nil {
		ln.err = err
		close(ln.ended)
	}
}

// closeUnserved closes the connections that Accept has not returned. In a drain, those that Accept is
// about to return stay open.
func (l *Limit) closeUnserved(ln *Listener) {
	l.mu.Lock()
	l.closed = true
	if l.reliefTimer != nil {
		l.reliefTimer.Stop()
	}
	var out []net.Conn
	if !l.draining || ln.acceptEnded {
		for _, c := range ln.ready {
			if e := l.entries[c]; e != nil { // otherwise it was closed for another
				l.remove(e)
				out = append(out, c)
			}
		}
		ln.ready = nil
	}
	for e := l.waiting.oldest(); e != nil; e = l.waiting.oldest() {
		l.unlink(e)
		l.clients.add(e.client, 0)
		out = append(out, e.conn)
	}
	l.mu.Unlock()
	for _, c := range out {
		_ = c.Close() // nothing was sent on it
	}
}

// accept accepts connections, in a goroutine of its own.
func (ln *Listener) accept(s *source) {
	defer close(s.ended)
	for pause := time.Duration(0); ; {
		c, err := s.Accept()
		switch {
		case err == nil:
			pause = 0
			if out := ln.limit.admit(c, ln); out != nil {
				_ = out.Close() // it was refused
				ln.limit.logClosed()
			}
		case !transient(err):
			select {
			case <-s.closing:
			default:
				ln.end(err)
			}
			return
		default:
			ln.limit.acceptFailed(s.Addr().String(), err)
			pause = min(max(2*pause, leastPause), mostPause)
			t := time.NewTimer(pause)
			select {
			case <-t.C:
			case <-s.closing:
			}
			t.Stop()
		}
	}
}

// How long accept pauses after an error.
const (
	leastPause = 5 * time.Millisecond
	mostPause  = 200 * time.Millisecond
)

// outOfFiles reports whether err says that no descriptor is left.
func outOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// transient reports whether accepting may succeed later, as after the errors that accept(2) returns
// for a connection that has ended before it was accepted.
func transient(err error) bool {
	if outOfFiles(err) {
		return true
	}
	for _, e := range []error{
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.EAGAIN, syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM,
		syscall.EPROTO, syscall.ENETDOWN, syscall.ENOPROTOOPT, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ETIMEDOUT,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

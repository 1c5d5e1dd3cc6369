package connlimit

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// listener accepts for the server.
type listener struct {
	net.Listener
	limit *Limit
	ended chan struct{} // closed when accepting has ended, with err
	err   error

	close   sync.Once
	closing chan struct{}
}

// Listener returns the listener for the server. It takes ownership of from, and accepts its
// connections at once, until it is closed.
func (l *Limit) Listener(from net.Listener) net.Listener {
	l.listen = from.Addr().String()
	ln := &listener{Listener: from, limit: l, ended: make(chan struct{}), closing: make(chan struct{})}
	l.listener = ln
	go ln.accept()
	return ln
}

// Accept returns the next connection of the server.
func (ln *listener) Accept() (net.Conn, error) {
	l := ln.limit
	for {
		l.mu.Lock()
		if len(l.ready) > 0 {
			c := l.ready[0]
			l.ready[0] = nil
			if l.ready = l.ready[1:]; len(l.ready) == 0 {
				l.ready = nil
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
		case <-l.wake:
		case <-ln.ended:
			if l.endAccept() {
				return nil, ln.err
			}
		}
	}
}

// endAccept reports whether Accept has returned all connections that were accepted, and may return
// its error.
func (l *Limit) endAccept() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ready) > 0 {
		return false
	}
	l.acceptEnded = true
	return true
}

// Close ends accepting and closes the connections that Accept has not returned.
func (ln *listener) Close() error {
	err := ln.Listener.Close()
	ln.close.Do(func() {
		close(ln.closing)
		<-ln.ended
		ln.limit.closeUnserved()
	})
	return err
}

// closeUnserved closes the connections that Accept has not returned. In a drain, those that Accept is
// about to return stay open.
func (l *Limit) closeUnserved() {
	l.mu.Lock()
	l.closed = true
	if l.reliefTimer != nil {
		l.reliefTimer.Stop()
	}
	var out []net.Conn
	if !l.draining || l.acceptEnded {
		for _, c := range l.ready {
			if e := l.entries[c]; e != nil { // otherwise it was closed for another
				l.remove(e)
				out = append(out, c)
			}
		}
		l.ready = nil
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
func (ln *listener) accept() {
	defer close(ln.ended)
	for pause := time.Duration(0); ; {
		c, err := ln.Listener.Accept()
		switch {
		case err == nil:
			pause = 0
			if out := ln.limit.admit(c); out != nil {
				_ = out.Close() // it was refused
				ln.limit.logClosed()
			}
		case !transient(err):
			ln.err = err
			return
		default:
			ln.limit.acceptFailed(err)
			pause = min(max(2*pause, leastPause), mostPause)
			t := time.NewTimer(pause)
			select {
			case <-t.C:
			case <-ln.closing:
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

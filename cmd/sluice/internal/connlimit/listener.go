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

// Listener returns what the server is to accept from. It takes over from: its
// connections are accepted at once from now on, until it is closed.
func (l *Limit) Listener(from net.Listener) net.Listener {
	l.listen = from.Addr().String()
	ln := &listener{Listener: from, limit: l, ended: make(chan struct{}), closing: make(chan struct{})}
	l.listener = ln
	go ln.accept()
	return ln
}

// Accept returns the next connection that has its place.
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
			if here { // else it has made room for another
				return c, nil
			}
			continue
		}
		l.mu.Unlock()
		select {
		case <-l.wake:
		case <-ln.ended:
			if l.isTaken() {
				return nil, ln.err
			}
		}
	}
}

// isTaken reports whether the server has been given all there is. Nothing more comes after
// the end of accepting, unless some wait for room.
func (l *Limit) isTaken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ready) > 0 {
		return false
	}
	l.taken = true
	return true
}

// Close ends accepting and closes what the server was not given yet.
func (ln *listener) Close() error {
	err := ln.Listener.Close()
	ln.close.Do(func() {
		close(ln.closing)
		<-ln.ended
		ln.limit.shut()
	})
	return err
}

// shut closes what is not in the server, but for what that is about to take in a drain.
func (l *Limit) shut() {
	l.mu.Lock()
	l.closed = true
	if l.again != nil {
		l.again.Stop()
	}
	var out []net.Conn
	if !l.draining || l.taken {
		for _, c := range l.ready {
			if e := l.entries[c]; e != nil { // else it has made room for another
				l.remove(e)
				out = append(out, c)
			}
		}
		l.ready = nil
	}
	for e := l.waiting.oldest(); e != nil; e = l.waiting.oldest() {
		l.unlist(e)
		l.clients.add(e.client, 0)
		out = append(out, e.conn)
	}
	l.mu.Unlock()
	for _, c := range out {
		_ = c.Close() // nothing was sent on it
	}
}

// accept is the goroutine that accepts.
func (ln *listener) accept() {
	defer close(ln.ended)
	for pause := time.Duration(0); ; {
		c, err := ln.Listener.Accept()
		switch {
		case err == nil:
			pause = 0
			if out := ln.limit.admit(c); out != nil {
				_ = out.Close() // it is gone either way
				ln.limit.tell()
			}
		case !transient(err):
			ln.err = err
			return
		default:
			ln.limit.failed(err)
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

// How long accepting rests when it fails.
const (
	leastPause = 5 * time.Millisecond
	mostPause  = 200 * time.Millisecond
)

// outOfFiles reports whether there are no descriptors left.
func outOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// transient reports whether accepting may work again, as after what accept(2) says of a
// connection that has ended before it was accepted.
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

package main

import (
	"net"
	"sync"
)

// several accepts from several listeners.
type several struct {
	list  []net.Listener
	conns chan accepted
	end   chan struct{}
	once  sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

// merge returns a listener that accepts from all of list.
func merge(list []net.Listener) net.Listener {
	if len(list) == 1 {
		return list[0]
	}
	s := &several{list: list, conns: make(chan accepted), end: make(chan struct{})}
	for _, l := range list {
		go s.accept(l)
	}
	return s
}

// accept is a goroutine for each listener. It ends when that is closed, and what fails there
// fails in Accept.
func (s *several) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		select {
		case s.conns <- accepted{c, err}:
		case <-s.end:
			if err == nil {
				_ = c.Close() // nothing was read from it
			}
			return
		}
	}
}

// Accept implements net.Listener.
func (s *several) Accept() (net.Conn, error) {
	select {
	case a := <-s.conns:
		return a.conn, a.err
	case <-s.end:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *several) Close() error {
	var first error
	s.once.Do(func() {
		close(s.end)
		for _, l := range s.list {
			if err := l.Close(); err != nil && first == nil {
				first = err
			}
		}
	})
	return first
}

// Addr implements net.Listener. It is for the log.
func (s *several) Addr() net.Addr { return s.list[0].Addr() }

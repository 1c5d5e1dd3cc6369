package main

import (
	"errors"
	"net"
	"sync"
)

// several accepts from several listeners. After Close, Accept returns the connections that were
// accepted before, and then net.ErrClosed: whoever calls it goes on until then. So no connection is
// lost that had been taken from a socket which others keep open.
type several struct {
	list  []net.Listener
	conns chan acceptance // closed when all listeners are
	once  sync.Once
}

type acceptance struct {
	conn net.Conn
	err  error
}

// merge returns a listener that accepts from all of list.
func merge(list []net.Listener) net.Listener {
	if len(list) == 1 {
		return list[0]
	}
	s := &several{list: list, conns: make(chan acceptance)}
	var accepting sync.WaitGroup
	for _, l := range list {
		accepting.Go(func() { s.accept(l) })
	}
	go func() {
		accepting.Wait()
		close(s.conns)
	}()
	return s
}

// accept is a goroutine for each listener. It ends when that is closed, and what fails there
// fails in Accept.
func (s *several) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		s.conns <- acceptance{c, err}
	}
}

// Accept implements net.Listener.
func (s *several) Accept() (net.Conn, error) {
	if a, ok := <-s.conns; ok {
		return a.conn, a.err
	}
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (s *several) Close() error {
	var first error
	s.once.Do(func() {
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

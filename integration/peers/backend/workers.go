package main

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// threads is a listener of an application with so many threads, each of which serves one connection: as
// flup's server it accepts one that it has no thread for, and closes it at once.
type threads struct {
	net.Listener
	free chan struct{}
}

func withThreads(l net.Listener, n int) net.Listener {
	if n == 0 {
		return l
	}
	return &threads{l, make(chan struct{}, n)}
}

func (t *threads) Accept() (net.Conn, error) {
	for {
		c, err := t.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case t.free <- struct{}{}:
			return &threadConn{Conn: c, end: sync.OnceFunc(func() { <-t.free })}, nil
		default:
			_ = c.Close() // as who has no thread does
		}
	}
}

type threadConn struct {
	net.Conn
	end func()
}

func (c *threadConn) Close() error {
	defer c.end()
	return c.Conn.Close()
}

// locks are those of sessions.
type locks struct {
	mu   sync.Mutex
	each map[string]*sync.Mutex
}

// hold holds the lock of a request's session for d.
func (l *locks) hold(r *http.Request, d time.Duration) {
	name := r.Header.Get("Cookie")
	l.mu.Lock()
	if l.each == nil {
		l.each = make(map[string]*sync.Mutex)
	}
	if l.each[name] == nil {
		l.each[name] = new(sync.Mutex)
	}
	lock := l.each[name]
	l.mu.Unlock()
	lock.Lock()
	defer lock.Unlock()
	time.Sleep(d)
}

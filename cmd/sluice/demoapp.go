package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/fcgi"
	"sync"
	"sync/atomic"
	"time"
)

const (
	demoShort = 20 * time.Millisecond // work of a short request
	demoPoll  = 10 * time.Second      // length of a long-poll
)

// demoApp is a FastCGI application with demoWorkers threads, one for each connection. It accepts
// and closes further connections, as flup's threaded server does.
type demoApp struct {
	net.Listener
	busy       atomic.Int64 // threads that serve a request
	open       atomic.Int64 // connections
	turnedAway atomic.Int64
	served     sync.WaitGroup
}

// startDemoApp starts the application at a free TCP port. A demonstration that is killed would leave
// the file of a unix socket behind.
func startDemoApp() (*demoApp, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &demoApp{Listener: l}
	mux := http.NewServeMux()
	mux.HandleFunc("/", a.work("A short page.\n", demoShort))
	mux.HandleFunc("/poll", a.work("Nothing new.\n", demoPoll))
	a.served.Go(func() { _ = fcgi.Serve(a, mux) }) // ends with the listener
	return a, nil
}

func (a *demoApp) work(answer string, d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.busy.Add(1)
		defer a.busy.Add(-1)
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, answer)
	}
}

func (a *demoApp) close() {
	_ = a.Listener.Close()
	a.served.Wait()
}

// Accept returns the next connection for which there is a thread.
func (a *demoApp) Accept() (net.Conn, error) {
	for {
		c, err := a.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if a.open.Add(1) <= demoWorkers {
			return &demoConn{Conn: c, app: a}, nil
		}
		a.open.Add(-1)
		a.turnedAway.Add(1)
		_ = c.Close()
	}
}

// demoConn frees its thread when it is closed.
type demoConn struct {
	net.Conn
	app  *demoApp
	once sync.Once
}

func (c *demoConn) Close() error {
	c.once.Do(func() { c.app.open.Add(-1) })
	return c.Conn.Close()
}

package fcgitest

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// backlog is the backlog of a Peer's listener. Tests that need another one create a Listener.
const backlog = 128

// Script plays an application on one connection. The connection is closed when it returns, if not
// before.
type Script func(*Session)

// Peer is an application that plays scripts.
type Peer struct {
	t       testing.TB
	ln      net.Listener
	dial    func(context.Context) (net.Conn, error)
	addr    string
	scripts []Script
	over    chan struct{} // closed by Close
	ended   sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	stopped  bool              // by Stop, until Resume
	playing  map[*Session]bool // true until the connection is closed; the script may still run
	open     int               // how many of playing are true
	accepted int
	most     int // connections open at once
	requests []*Request
	asked    [][]string
	values   func(s *Session, names []string)
}

// Start returns a peer with connections in memory. The first script plays the first connection, and so
// on; the last script plays all further ones.
func Start(t testing.TB, scripts ...Script) *Peer {
	t.Helper()
	ln := Listen(backlog)
	return Serve(t, ln, ln.Dial, "memory", scripts...)
}

// StartUnix is Start on a unix socket.
func StartUnix(t testing.TB, scripts ...Script) *Peer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return Serve(t, ln, dial, "unix:"+path, scripts...)
}

// Serve is Start on any listener, which it closes at the end.
func Serve(t testing.TB, ln net.Listener, dial func(context.Context) (net.Conn, error), addr string, scripts ...Script) *Peer {
	t.Helper()
	p := &Peer{
		t: t, ln: ln, dial: dial, addr: addr, scripts: scripts,
		over: make(chan struct{}), playing: make(map[*Session]bool), values: ValuesLibfcgi,
	}
	p.ended.Go(func() { p.accept(ln) })
	t.Cleanup(p.Close)
	return p
}

// Dial connects to the peer.
func (p *Peer) Dial(ctx context.Context) (net.Conn, error) { return p.dial(ctx) }

// Addr returns the peer's address for Sluice's configuration, "memory" in memory.
func (p *Peer) Addr() string { return p.addr }

func (p *Peer) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		s := newSession(c, p)
		script := p.opened(s)
		if script == nil {
			_ = reset(c)
			return
		}
		p.ended.Go(func() {
			defer p.left(s)
			script(s)
		})
	}
}

// opened returns the script for a new connection, nil if the peer is stopped.
func (p *Peer) opened(s *Session) Script {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.stopped {
		return nil
	}
	script := p.scripts[min(p.accepted, len(p.scripts)-1)]
	p.accepted++
	p.playing[s] = true
	p.open++
	p.most = max(p.most, p.open)
	return script
}

// left records that a script has ended.
func (p *Peer) left(s *Session) {
	p.hangUp(s)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.playing, s)
}

// hangUp closes a session's connection. Its script may continue.
func (p *Peer) hangUp(s *Session) {
	if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		p.t.Errorf("fcgitest: closing a connection: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.playing[s] {
		p.playing[s] = false
		p.open--
	}
}

// Close ends every script and waits for it. It may be called more than once.
func (p *Peer) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.over)
		_ = p.ln.Close()
		for s := range p.playing {
			_ = s.Close()
			s.kill()
		}
	}
	p.mu.Unlock()
	p.ended.Wait()
}

// Requests returns the requests received, complete or not, in the order of BEGIN_REQUEST.
func (p *Peer) Requests() []*Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Asked returns the names in each GET_VALUES, in the order received.
func (p *Peer) Asked() [][]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// Accepted returns how many connections there have been.
func (p *Peer) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Open returns how many connections the peer has open.
func (p *Peer) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// MostOpen returns the greatest number of connections that were open at once.
func (p *Peer) MostOpen() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most
}

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

// backlog is that of a Peer's listener. Tests that need another one make their
// own Listener.
const backlog = 128

// Script plays one connection. The connection is closed when it returns, or
// earlier if it wants.
type Script func(*Session)

// Peer is an application that plays scripts.
type Peer struct {
	t       testing.TB
	ln      net.Listener
	dial    func(context.Context) (net.Conn, error)
	addr    string
	scripts []Script
	done    chan struct{} // closed when everything must end
	ended   sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	open     map[net.Conn]bool
	accepted int
	most     int // connections open at once
	requests []*Request
}

// Start returns a peer that is connected to in memory. The first connection is
// played by the first script, and so on; further ones by the last.
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

// Serve is Start on any listener; it closes it at the end.
func Serve(t testing.TB, ln net.Listener, dial func(context.Context) (net.Conn, error), addr string, scripts ...Script) *Peer {
	t.Helper()
	p := &Peer{t: t, ln: ln, dial: dial, addr: addr, scripts: scripts, done: make(chan struct{}), open: make(map[net.Conn]bool)}
	p.ended.Go(p.accept)
	t.Cleanup(p.Close)
	return p
}

// Dial connects to the peer.
func (p *Peer) Dial(ctx context.Context) (net.Conn, error) { return p.dial(ctx) }

// Addr is the peer's address as Sluice's configuration writes it; "memory" in
// memory.
func (p *Peer) Addr() string { return p.addr }

func (p *Peer) accept() {
	for n := 0; ; n++ {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		if !p.opened(c) {
			_ = c.Close()
			return
		}
		script := p.scripts[min(n, len(p.scripts)-1)]
		p.ended.Go(func() {
			defer p.left(c)
			script(&Session{Conn: c, peer: p})
		})
	}
}

func (p *Peer) opened(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.accepted++
	p.open[c] = true
	p.most = max(p.most, len(p.open))
	return true
}

func (p *Peer) left(c net.Conn) {
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
	if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		p.t.Errorf("fcgitest: closing a connection: %v", err)
	}
}

// Close ends every script and waits for it. It may be called more than once.
func (p *Peer) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.done)
		_ = p.ln.Close()
		for c := range p.open {
			_ = c.Close()
		}
	}
	p.mu.Unlock()
	p.ended.Wait()
}

// Requests returns those that were received whole or in part, in the order of
// their BEGIN_REQUEST.
func (p *Peer) Requests() []*Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Accepted returns how many connections there have been.
func (p *Peer) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Open returns how many connections are being played.
func (p *Peer) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// MostOpen returns how many connections were played at once at most.
func (p *Peer) MostOpen() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most
}

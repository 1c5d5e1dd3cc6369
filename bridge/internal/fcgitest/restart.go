package fcgitest

import (
	"net"
	"time"
)

// Stop ends the peer's process: it closes the listener and every connection, and
// waits for the scripts. Connections without a request end with io.EOF, those
// with one and those in the backlog with ECONNRESET. On a unix socket the kernel
// decides: it resets connections with unread bytes.
//
// Until [Peer.Resume], connecting fails: ECONNREFUSED in memory, ENOENT on a unix
// socket. A script must not call Stop: it would wait for itself.
func (p *Peer) Stop() {
	p.mu.Lock()
	if !p.closed && !p.stopped {
		p.stopped = true
		if ln, ok := p.ln.(*Listener); ok {
			_ = ln.reset()
		} else {
			_ = p.ln.Close()
		}
		for s := range p.playing {
			s.die()
		}
	}
	p.mu.Unlock()
	p.ended.Wait()
}

// Resume starts the process again after [Peer.Stop]. The order of the scripts continues.
func (p *Peer) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || !p.stopped {
		return
	}
	if ln, ok := p.ln.(*Listener); ok {
		ln.reopen()
	} else {
		again, err := net.Listen(p.ln.Addr().Network(), p.ln.Addr().String())
		if err != nil {
			p.t.Errorf("fcgitest: listening again: %v", err)
			return
		}
		p.ln = again
	}
	p.stopped = false
	ln := p.ln
	p.ended.Go(func() { p.accept(ln) })
}

// Restart stops the peer, waits for d, and resumes.
func (p *Peer) Restart(d time.Duration) {
	p.Stop()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.over:
	}
	p.Resume()
}

// Reload replaces the process and keeps the listener, as PHP-FPM does at USR2:
// connections without a request are closed, those with one are reset, and those
// that wait for one of [Processes] are served by the new ones.
func (p *Peer) Reload() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.playing {
		if !s.queued {
			s.die()
		}
	}
}

// die ends a session with its process. The caller holds peer.mu.
func (s *Session) die() {
	if s.busy || s.queued {
		_ = reset(s.Conn)
	} else {
		_ = s.Close()
	}
	s.kill()
}

// kill ends Hold and HoldFor. The caller holds peer.mu.
func (s *Session) kill() {
	if !s.dead {
		s.dead = true
		close(s.killed)
	}
}

// reset closes c so that the other side gets ECONNRESET. A socket leaves that to
// the kernel.
func reset(c net.Conn) error {
	if c, ok := c.(*Conn); ok {
		return c.Reset()
	}
	return c.Close()
}

// end closes c so that the other side gets io.EOF. A socket leaves that to the
// kernel.
func end(c net.Conn) error {
	if c, ok := c.(*Conn); ok {
		return c.end()
	}
	return c.Close()
}

//go:build linux

package loop

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/internal/halfclose"
)

// peer is what is known of a client that has closed its sending side while its request is served, and
// waits for the answer.
type peer struct {
	checkAt time.Time // when the kernel is asked again whether it still has the connection; zero: never
	pause   time.Duration
}

// next is checkAt. p may be nil.
func (p *peer) next() time.Time {
	if p == nil {
		return time.Time{}
	}
	return p.checkAt
}

// sideClosed says that the client has closed its sending side: it has left, or it waits for the
// answer.
func (c *Conn) sideClosed() {
	var p peer
	switch halfclose.Judge(c, c.loop.now.Sub(c.call.began)) {
	case halfclose.HasLeft:
		c.left(context.Canceled)
		return
	case halfclose.Waits:
		if c.isTCP() {
			c.keepAlive()
		}
	case halfclose.AskAgain:
		p.pause = halfclose.FirstCheck
		p.checkAt = c.loop.now.Add(p.pause)
	}
	if !c.loop.server.Permit(c) {
		c.left(context.Canceled)
		return
	}
	c.peer = &p
	c.arm()
}

// checkPeer asks the kernel whether a client on this machine still has the connection.
func (c *Conn) checkPeer() {
	if !halfclose.HasPeer(c) {
		c.left(context.Canceled)
		return
	}
	c.peer.pause = min(4*c.peer.pause, halfclose.MaxCheckInterval)
	c.peer.checkAt = c.loop.now.Add(c.peer.pause)
}

// stopHiding ends the wait of a client that has closed its sending side, if it does wait.
func (c *Conn) stopHiding() {
	if c.peer != nil {
		c.loop.server.Done(c)
		c.peer = nil
	}
}

// keepAlive has the kernel find out that a client has forgotten the connection.
func (c *Conn) keepAlive() {
	k := halfclose.KeepAlive
	for opt, v := range map[int]int{
		unix.TCP_KEEPIDLE: int(k.Idle / time.Second), unix.TCP_KEEPINTVL: int(k.Interval / time.Second), unix.TCP_KEEPCNT: k.Count,
	} {
		_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, opt, v) // if it fails, the default keep-alive finds out later
	}
}

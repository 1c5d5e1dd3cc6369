//go:build linux

package loop

import (
	"context"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/internal/halfclose"
)

// peer is what is known of a client that has closed its sending side while its request is served.
type peer struct {
	hidden  bool      // it waits for the answer
	checkAt time.Time // when the kernel is asked again whether it still has the connection; zero: never
	pause   time.Duration
}

// sideClosed says that the client has closed its sending side: it has left, or it waits for the
// answer.
func (c *Conn) sideClosed() {
	switch halfclose.Judge(c, c.loop.now.Sub(c.call.began)) {
	case halfclose.HasLeft:
		c.left(context.Canceled)
		return
	case halfclose.Waits:
		if _, tcp := c.remote.(*net.TCPAddr); tcp {
			c.keepAlive()
		}
	case halfclose.AskAgain:
		c.peer.pause = halfclose.FirstCheck
		c.peer.checkAt = c.loop.now.Add(c.peer.pause)
	}
	if !c.loop.server.Permit(c) {
		c.peer = peer{}
		c.left(context.Canceled)
		return
	}
	c.peer.hidden = true
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
	if c.peer.hidden {
		c.loop.server.Done(c)
	}
	c.peer = peer{}
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

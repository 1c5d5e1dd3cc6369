package probe

import (
	"time"
)

// withoutKeep finds out what becomes of a connection after an answer without
// FCGI_KEEP_CONN.
func (p *prober) withoutKeep() Fact[Close] {
	c, err := p.dial()
	if err != nil {
		return unknown[Close](p.why(err))
	}
	defer p.hangUp(c)
	p.request(c, false)
	if _, err := c.reply(p.patience); err != nil {
		return unknown[Close](p.why(err))
	}
	switch {
	case !c.closes(leastPatience):
		return known(CloseNot)
	case p.reads(c):
		return known(CloseHalf)
	}
	return known(CloseBoth)
}

// reads reports whether the other side, having ended its direction, still takes
// what is sent. Over TCP the first that it does not take only brings the reset.
func (p *prober) reads(c *conn) bool {
	for range 2 {
		p.pause(closePatience / 2)
		// An ABORT_REQUEST of a request that has ended means nothing.
		_ = c.SetWriteDeadline(time.Now().Add(closePatience))
		if _, err := c.Write(codec.AppendAbort(nil, c.id)); err != nil {
			return false
		}
	}
	return true
}

package probe

import (
	"time"
)

// withoutKeepAlive finds out what the application does with a connection after an answer
// without FCGI_KEEP_CONN.
func (p *prober) withoutKeepAlive() Fact[Close] {
	c, err := p.dial()
	if err != nil {
		return unknown[Close](p.reason(err))
	}
	defer p.hangUp(c)
	p.request(c, false)
	if _, err := c.reply(p.timeout); err != nil {
		return unknown[Close](p.reason(err))
	}
	switch {
	case !c.closes(minTimeout):
		return known(CloseNot)
	case p.reads(c):
		return known(CloseHalf)
	}
	return known(CloseBoth)
}

// reads reports whether the application, having closed its sending side, still reads. Over TCP
// the first write that it does not read only causes the reset, so two are needed.
func (p *prober) reads(c *conn) bool {
	for range 2 {
		p.pause(closeTimeout / 2)
		// ABORT_REQUEST for a request that has ended has no effect.
		_ = c.SetWriteDeadline(time.Now().Add(closeTimeout))
		if _, err := c.Write(codec.AppendAbort(nil, c.id)); err != nil {
			return false
		}
	}
	return true
}

package probe

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

const notTried = ", so it was not tried"

// multiplex has two requests on one connection: the second complete while the
// first still lacks the end of its STDIN. Who says that it does not multiplex is
// not asked: what comes of it ranges from bogus answers to lost ones.
func (p *prober) multiplex(r *Report) Fact[Multiplex] {
	if !r.multiplexes() {
		return unknown[Multiplex](r.saysOfMultiplexing() + notTried)
	}
	c, err := p.dial()
	if err != nil {
		return unknown[Multiplex](p.why(err))
	}
	defer p.hangUp(c)
	const first, second = 1, 2
	b := p.head(nil, first, true)
	b = p.head(b, second, true)
	c.send(codec.AppendBody(b, second, nil, true), p.patience)

	ends := make(ends)
	_ = c.await(second, ends, p.patience) // if it failed, what follows fails, too
	_, early := ends[second]
	c.send(codec.AppendBody(nil, first, nil, true), p.patience)
	for _, id := range []uint16{first, second} {
		if err := c.await(id, ends, p.patience); err != nil {
			return known(MultiplexLost)
		}
	}
	switch {
	case ends[first] == fcgi.StatusCantMpxConn, ends[second] == fcgi.StatusCantMpxConn:
		return known(MultiplexRefused)
	case !early:
		return known(MultiplexSerial)
	}
	return known(MultiplexWorks)
}

// ends is how requests on a connection have ended, by their ids.
type ends map[uint16]fcgi.ProtocolStatus

// await reads until the request has ended.
func (c *conn) await(id uint16, ends ends, patience time.Duration) error {
	for until := time.Now().Add(patience); ; {
		if _, ended := ends[id]; ended {
			return nil
		}
		rec, err := c.record(until)
		if err != nil {
			return err
		}
		if rec.Type != fcgi.TypeEndRequest {
			continue
		}
		end, err := fcgi.DecodeEndRequest(rec.Content)
		if err != nil {
			return err
		}
		ends[rec.RequestID] = end.ProtocolStatus
	}
}

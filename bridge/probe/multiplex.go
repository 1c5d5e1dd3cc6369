package probe

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

const notTried = ", so it was not tried"

// multiplex sends two requests on one connection; the second is complete while the first still
// lacks the end of its STDIN. It is not tried if the application says that it does not multiplex:
// the result would range from wrong answers to lost ones.
func (p *prober) multiplex(r *Report) Fact[Multiplex] {
	if !r.claimsMultiplex() {
		return unknown[Multiplex](r.multiplexClaim() + notTried)
	}
	c, err := p.dial()
	if err != nil {
		return unknown[Multiplex](p.reason(err))
	}
	defer p.hangUp(c)
	const first, second = 1, 2
	b := p.head(nil, first, true)
	b = p.head(b, second, true)
	c.send(codec.AppendBody(b, second, nil, true), p.timeout)

	ends := make(ends)
	_ = c.await(second, ends, p.timeout) // if it fails, the reads below fail, too
	_, early := ends[second]
	c.send(codec.AppendBody(nil, first, nil, true), p.timeout)
	for _, id := range []uint16{first, second} {
		if err := c.await(id, ends, p.timeout); err != nil {
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

// ends has the protocol statuses of the requests that have ended, by id.
type ends map[uint16]fcgi.ProtocolStatus

// await reads until the request has ended.
func (c *conn) await(id uint16, ends ends, timeout time.Duration) error {
	for deadline := time.Now().Add(timeout); ; {
		if _, ended := ends[id]; ended {
			return nil
		}
		rec, err := c.record(deadline)
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

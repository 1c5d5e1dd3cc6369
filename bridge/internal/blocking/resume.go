package blocking

import (
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
	"github.com/sluice-proxy/sluice/bridge/internal/nested"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// Progress is how far another driver has taken an exchange: past its request's body, which was not
// large.
type Progress struct {
	W        http.ResponseWriter // whose Header is that of the exchange's client
	Original *http.Request
	Request  View
	Began    time.Time
	Ticket   admission.Ticket
	Lease    *pool.Lease     // of the attempt; nil: there is none, or it is over
	Nest     *nested.Request // nil: the request does not come from this machine
	Relaying bool            // the relay has begun: the header was sent
	Sent     int64           // of the content, in bytes
}

// Resume takes an exchange that another driver has begun to its end, and waits for what at says. The
// rest is as in Serve.
func (s *Site) Resume(x *exchange.Exchange, at exchange.Wait, p Progress) (aborted bool) {
	c := &call{
		View: p.Request, x: x, w: p.W, original: p.Original, began: p.Began, ticket: p.Ticket, nest: p.Nest,
		beside: beside{lease: p.Lease}, relayed: p.Sent, bodyHere: true,
	}
	x.Move(c, c)
	if p.Relaying {
		x.First = nil // it was sent
	}
	c.drive(at)
	c.end()
	s.Observe(p.Original, &x.Out)
	return x.Out.Aborted
}

// WaitAbandoned waits for the end of an abandoned request, in a goroutine of its own.
func (s *Site) WaitAbandoned(h *exchange.Hold, l *pool.Lease) { s.AwaitAbandoned(s.Abandon(h), l) }

// AwaitAbandoned is WaitAbandoned for a request that another driver has waited for.
func (s *Site) AwaitAbandoned(a *exchange.Abandoned, l *pool.Lease) { s.await(a, beside{lease: l}) }

// Served is a site, and what is called around each of its requests.
type Served struct {
	Site           *Site
	Arrive, Depart func()
}

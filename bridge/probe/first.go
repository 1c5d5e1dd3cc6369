package probe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/owners"
)

// first sends the first request, which tells whether this is FastCGI at all, and
// a second one on the same connection.
func (p *prober) first(r *Report) error {
	c, got, err := p.open(p.patience)
	if err != nil {
		if c != nil {
			p.hangUp(c)
		}
		return p.explain(err, r)
	}
	defer p.hangUp(c)
	r.Answer = got.answer()
	switch {
	case strings.HasSuffix(p.cfg.Script, ".php"):
		r.Answer.Preset = "php"
	case p.cfg.Script != "", r.runs("fcgiwrap"):
		r.Answer.Preset = "cgi"
	}
	p.took = got.took
	p.patience = max(leastPatience, 3*got.took)
	r.KeepAlive = measured(p, p.keepAlive(c))
	return nil
}

// runs reports whether a program of that name holds the socket.
func (r *Report) runs(name string) bool {
	return slices.ContainsFunc(r.Owners.Value, func(o owners.Owner) bool { return o.Command == name })
}

// open connects and has a request answered on a connection to be kept. An
// application that closes at once gets another two chances: the threads of
// earlier connections may not be free yet. The connection is returned if there is
// no error, and with errSilent.
func (p *prober) open(patience time.Duration) (*conn, *reply, error) {
	for tries := 1; ; tries++ {
		c, err := p.dial()
		if err != nil {
			return nil, nil, err
		}
		p.request(c, true)
		got, err := c.reply(patience)
		if err == nil || errors.Is(err, errSilent) {
			return c, got, err
		}
		c.close()
		if !errors.Is(err, errClosed) || tries == 3 {
			return nil, nil, err
		}
		p.pause(5 * settle)
	}
}

// keepAlive finds out what becomes of a connection that has had an answer.
func (p *prober) keepAlive(c *conn) Fact[KeepAlive] {
	if c.closes(closePatience) {
		return known(Closed)
	}
	for answered := range p.insistence() {
		p.request(c, true)
		_, err := c.reply(p.patience)
		switch {
		case errors.Is(err, errClosed) && answered > 0:
			return known(Kept) // for so many requests
		case errors.Is(err, errClosed):
			return known(Closed)
		case errors.Is(err, errSilent):
			return known(Stalled)
		case err != nil:
			return unknown[KeepAlive]("a further request on the connection: " + p.why(err))
		}
	}
	return known(Kept)
}

// insistence is how often a kept connection is asked again before it is taken to
// work: as often as half a second allows, ten times at most. Where threads hold a
// lock around accept, one that has answered finds it taken by another, or happens
// to be the first to take it again.
func (p *prober) insistence() int {
	return int(min(max(1, time.Second/2/max(1, p.took)), 10))
}

// explain says what a failure of the first request means.
func (p *prober) explain(err error, r *Report) error {
	if foreign, ok := errors.AsType[*foreignError](err); ok {
		return p.protocol(guess(foreign.said), foreign.said)
	}
	if errors.Is(err, errSilent) || errors.Is(err, errClosed) {
		if found := p.identify(); found != nil {
			return found
		}
	}
	if p.ctx.Err() != nil {
		return fmt.Errorf("probe %s: %s, and no request has been answered", p.cfg.Address, p.why(err))
	}
	if advice := p.remedy(err, r.Queue.Value.Depth); advice != "" {
		return fmt.Errorf("probe %s: %w: %s", p.cfg.Address, err, advice)
	}
	return fmt.Errorf("probe: %w", err)
}

// remedy is what to do about it, while so many connections wait to be accepted.
func (p *prober) remedy(err error, waiting int) string {
	switch {
	case errors.Is(err, errSilent) && waiting > 0:
		return fmt.Sprintf("%s wait in its accept queue, so its workers are all taken; try again when it is idle", connections(waiting))
	case errors.Is(err, errSilent):
		return fmt.Sprintf("its workers may be taken, or held by idle connections of another client; or GET %s takes more than %v, then choose another --path", p.cfg.Path, p.patience)
	case errors.Is(err, errClosed):
		return "its workers may all be taken, then try again when it is idle; or it does not speak FastCGI"
	case errors.Is(err, errSlow):
		return fmt.Sprintf("choose a --path whose page ends within %v", p.patience)
	case errors.Is(err, errCut):
		return "choose another --path, or look at its log"
	}
	return ""
}

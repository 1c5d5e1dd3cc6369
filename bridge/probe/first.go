package probe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/owners"
)

// firstRequest sends the first request, which shows whether the application speaks FastCGI, and
// further ones on the same connection.
func (p *prober) firstRequest(r *Report) error {
	c, got, err := p.open(p.timeout)
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
	p.timeout = max(minTimeout, 3*got.took)
	r.KeepAlive = measured(p, p.keepAlive(c))
	return nil
}

// runs reports whether a program of this name holds the socket.
func (r *Report) runs(name string) bool {
	return slices.ContainsFunc(r.Owners.Value, func(o owners.Owner) bool { return o.Command == name })
}

// open connects and sends a request on a connection to be kept. If the application closes at
// once, it tries twice more: the threads of earlier connections may not be free yet. It returns
// the connection if there is no error, and with errSilent.
func (p *prober) open(timeout time.Duration) (*conn, *reply, error) {
	for tries := 1; ; tries++ {
		c, err := p.dial()
		if err != nil {
			return nil, nil, err
		}
		p.request(c, true)
		got, err := c.reply(timeout)
		if err == nil || errors.Is(err, errSilent) {
			return c, got, err
		}
		c.close()
		if !errors.Is(err, errClosed) || tries == 3 {
			return nil, nil, err
		}
		p.pause(5 * threadDelay)
	}
}

// keepAlive finds out what the application does with a connection that has had an answer.
func (p *prober) keepAlive(c *conn) Fact[KeepAlive] {
	if c.closes(closeTimeout) {
		return known(Closed)
	}
	for answered := range p.keepAliveTries() {
		p.request(c, true)
		_, err := c.reply(p.timeout)
		switch {
		case errors.Is(err, errClosed) && answered > 0:
			return known(Kept) // for a number of requests
		case errors.Is(err, errClosed):
			return known(Closed)
		case errors.Is(err, errSilent):
			return known(Stalled)
		case err != nil:
			return unknown[KeepAlive]("a further request on the connection: " + p.reason(err))
		}
	}
	return known(Kept)
}

// keepAliveTries is how many further requests a kept connection must answer: as many as half a
// second allows, ten at most. One is not enough if threads hold a lock around accept: the thread
// of the connection may by chance be the first to take the lock again.
func (p *prober) keepAliveTries() int {
	return int(min(max(1, time.Second/2/max(1, p.took)), 10))
}

// explain returns the error for a failed first request.
func (p *prober) explain(err error, r *Report) error {
	if foreign, ok := errors.AsType[*notFastCGIError](err); ok {
		return p.protocol(protocolOf(foreign.begin), foreign.begin)
	}
	if errors.Is(err, errSilent) || errors.Is(err, errClosed) {
		if found := p.identify(); found != nil {
			return found
		}
	}
	if p.ctx.Err() != nil {
		return fmt.Errorf("probe %s: %s, and no request has been answered", p.cfg.Address, p.reason(err))
	}
	if advice := p.remedy(err, r.Queue.Value.Depth); advice != "" {
		return fmt.Errorf("probe %s: %w: %s", p.cfg.Address, err, advice)
	}
	return fmt.Errorf("probe: %w", err)
}

// remedy says what to do about err, while waiting connections are in the accept queue.
func (p *prober) remedy(err error, waiting int) string {
	switch {
	case errors.Is(err, errSilent) && waiting > 0:
		return fmt.Sprintf("%s wait in its accept queue, so its workers are all taken; try again when it is idle", connections(waiting))
	case errors.Is(err, errSilent):
		return fmt.Sprintf("its workers may be taken, or held by idle connections of another client; or GET %s takes more than %v, then choose another --path", p.cfg.Path, p.timeout)
	case errors.Is(err, errClosed):
		return "its workers may all be taken, then try again when it is idle; or it does not speak FastCGI"
	case errors.Is(err, errSlow):
		return fmt.Sprintf("choose a --path whose page ends within %v", p.timeout)
	case errors.Is(err, errCut):
		return "choose another --path, or look at its log"
	}
	return ""
}

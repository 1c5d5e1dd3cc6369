package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/acceptqueue"
	"github.com/sluice-proxy/sluice/bridge/internal/owners"
)

const (
	dialTimeout   = 2 * time.Second
	firstTimeout  = 5 * time.Second // for the first answer, whose time sets the timeout of the others
	minTimeout    = time.Second
	valuesTimeout = time.Second

	// fullTimeout is how long a connection must stay unanswered before the application counts as
	// full: PHP-FPM's pm = dynamic starts processes once a second.
	fullTimeout = 2500 * time.Millisecond

	// closeTimeout is how long the application may take to close a connection after an answer.
	closeTimeout = 250 * time.Millisecond

	// threadDelay is how long a thread may take to become free after its connection was closed:
	// flup's threads take up to a millisecond.
	threadDelay = 20 * time.Millisecond
)

// prober is one run.
type prober struct {
	ctx     context.Context // of the whole run
	cfg     Config
	vars    []cgi.Var
	took    time.Duration // the first request
	timeout time.Duration // with requests like it
}

// Run probes an application. Its error says why that was impossible and what to do, or is the
// error of ctx.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	vars, err := cfg.variables()
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	begun := time.Now()
	p := &prober{ctx: bounded, cfg: cfg, vars: vars, timeout: firstTimeout}
	r := &Report{Address: cfg.Address}
	err = p.measure(r)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("probe: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, err
	}
	r.TookMS = milliseconds(time.Since(begun))
	return r, nil
}

// measure fills in r, beginning with what costs the application least.
func (p *prober) measure(r *Report) error {
	r.Queue = p.queue() // now, because the probe's own connections would count
	r.Owners = p.owners(r.Queue)
	if err := p.firstRequest(r); err != nil {
		return err
	}
	r.Owners = p.owners(r.Queue) // again: an application that was just started had not begun all its threads
	p.values(r)
	r.Close = stage(p, p.withoutKeepAlive)
	r.Multiplex = stage(p, func() Fact[Multiplex] { return p.multiplex(r) })
	r.Capacity = stage(p, func() Fact[Capacity] { return p.capacity(r) })
	return nil
}

// queue asks the kernel for the accept queue.
func (p *prober) queue() Fact[acceptqueue.Queue] {
	if p.cfg.Network == "" {
		return unknown[acceptqueue.Queue]("the address is not one of a socket")
	}
	q, err := acceptqueue.Of(p.cfg.Network, p.cfg.Addr)
	if err != nil {
		return unknown[acceptqueue.Queue](err.Error())
	}
	return known(q)
}

func (p *prober) owners(q Fact[acceptqueue.Queue]) Fact[[]owners.Owner] {
	if !q.Known {
		return unknown[[]owners.Owner](q.Reason)
	}
	list, err := owners.Of(q.Value.Inodes)
	f := Fact[[]owners.Owner]{Known: len(list) > 0, Value: list}
	switch {
	case err != nil:
		f.Reason = err.Error()
	case len(list) == 0:
		f.Reason = "no process that can be seen from here holds the socket (it may be in a container)"
	}
	return f
}

// pause waits for d, or until the probe ends.
func (p *prober) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.ctx.Done():
	}
}

// hangUp closes a connection and waits for its worker to become free.
func (p *prober) hangUp(c *conn) {
	c.close()
	p.pause(threadDelay)
}

// stage runs f, unless the probe has ended.
func stage[T any](p *prober, f func() Fact[T]) Fact[T] {
	if err := p.ctx.Err(); err != nil {
		return unknown[T](p.reason(err))
	}
	return measured(p, f())
}

// measured returns f, unless the probe has ended meanwhile: connections that the probe itself
// has closed say nothing about the application.
func measured[T any](p *prober, f Fact[T]) Fact[T] {
	if err := p.ctx.Err(); f.Known && err != nil {
		return unknown[T](p.reason(err))
	}
	return f
}

// reason returns the text of err for a Fact that is not known.
func (p *prober) reason(err error) string {
	if errors.Is(p.ctx.Err(), context.DeadlineExceeded) {
		return fmt.Sprintf("the time for the whole probe, %v, was over", p.cfg.Timeout)
	}
	return err.Error()
}

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
	dialPatience   = 2 * time.Second
	firstPatience  = 5 * time.Second // the first answer, whose time gives that of the others
	leastPatience  = time.Second
	valuesPatience = time.Second

	// fullPatience is how long a connection must stay unanswered before others are
	// taken to be in its way: PHP-FPM's pm = dynamic starts processes once a second.
	fullPatience = 2500 * time.Millisecond

	// closePatience is how long closing a connection after an answer may take.
	closePatience = 250 * time.Millisecond

	// settle is how long a thread may take to become free after its connection was
	// closed: flup's needs up to a millisecond.
	settle = 20 * time.Millisecond
)

// prober is one run.
type prober struct {
	ctx      context.Context // of the whole run
	cfg      Config
	vars     []cgi.Var
	took     time.Duration // the first request
	patience time.Duration // with requests like it
}

// Run probes an application. An error says why it could not be done and what to
// do about it, or is that of ctx.
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
	p := &prober{ctx: bounded, cfg: cfg, vars: vars, patience: firstPatience}
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

// measure fills in r, the cheap and the gentle first.
func (p *prober) measure(r *Report) error {
	// Before the probe's own connections would count.
	r.Queue = p.queue()
	r.Owners = p.owners(r.Queue)
	if err := p.first(r); err != nil {
		return err
	}
	p.values(r)
	r.Close = stage(p, p.withoutKeep)
	r.Multiplex = stage(p, func() Fact[Multiplex] { return p.multiplex(r) })
	r.Capacity = stage(p, func() Fact[Capacity] { return p.capacity(r) })
	return nil
}

// queue asks the kernel.
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

// pause waits for d; it ends early with the probe.
func (p *prober) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.ctx.Done():
	}
}

// hangUp closes a connection and leaves its worker the time to become free.
func (p *prober) hangUp(c *conn) {
	c.close()
	p.pause(settle)
}

// stage is what f finds out, if there is time.
func stage[T any](p *prober, f func() Fact[T]) Fact[T] {
	if err := p.ctx.Err(); err != nil {
		return unknown[T](p.why(err))
	}
	return measured(p, f())
}

// measured is f, unless the probe was ended meanwhile: connections that it closed
// itself say nothing of the application.
func measured[T any](p *prober, f Fact[T]) Fact[T] {
	if err := p.ctx.Err(); f.Known && err != nil {
		return unknown[T](p.why(err))
	}
	return f
}

// why is the reason for a fact that is not known.
func (p *prober) why(err error) string {
	if errors.Is(p.ctx.Err(), context.DeadlineExceeded) {
		return fmt.Sprintf("the time for the whole probe, %v, was over", p.cfg.Timeout)
	}
	return err.Error()
}

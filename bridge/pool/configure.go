package pool

import (
	"errors"
	"fmt"
	"time"
)

// ErrOtherKind is what Configure returns for a Config that only another pool can have.
var ErrOtherKind = errors.New("pool: only another pool can go by that")

// Configure changes the pool's Config: Workers, all times, and KeepAlive. It returns
// ErrOtherKind if cfg is for another kind of application, that is, if Multiplex,
// ClosesWhenFull, ClosesIdle or WorksOn differ, and the errors of New. An error changes
// nothing. Instances, Codec, Logger, OnOutage, OnCapacity and Memory stay as they are.
//
// No request is stopped. If an instance has more connections than the new Workers, idle
// ones are closed at once, others when their requests end, and none is made until there is
// room. An instance that was believed to hold all Workers is believed to hold the new
// number; one that was found to be full, no more than before. Waits, dials and closings in
// progress keep their times.
func (p *Pool) Configure(cfg Config) error {
	cfg.Codec = p.config().Codec
	if err := cfg.complete(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.unlock()
	return p.configure(cfg)
}

// CanBecome returns the error that Configure would return, and changes nothing.
func (p *Pool) CanBecome(cfg Config) error {
	cfg.Codec = p.config().Codec
	if err := cfg.complete(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	return p.config().sameKind(&cfg)
}

// configure is Configure for a complete Config. The caller holds the mutex.
func (p *Pool) configure(cfg Config) error {
	if p.closed {
		return ErrClosed
	}
	was := p.config()
	if err := was.sameKind(&cfg); err != nil {
		return err
	}
	cfg.Instances, cfg.Logger, cfg.Memory = was.Instances, was.Logger, was.Memory
	cfg.OnOutage, cfg.OnCapacity = was.OnOutage, was.OnCapacity
	p.cfg.Store(&cfg)
	for _, list := range [...][]*instance{p.instances, p.draining} {
		for _, in := range list {
			full := in.observed.toldFull(was.Workers)
			in.observed.rebase(was.Workers, cfg.Workers)
			if full && in.observed.now == cfg.Workers {
				p.tellCapacity(in)
			}
			p.trim(in)
		}
	}
	p.recount()
	p.schedule(time.Now()) // what is due by the new times; waiters look again
	return nil
}

// sameKind returns an error that names what differs, if other is for another kind of
// application.
func (c *Config) sameKind(other *Config) error {
	switch {
	case c.Multiplex != other.Multiplex:
		return fmt.Errorf("pool: multiplex: is %d, was %d: %w", other.Multiplex, c.Multiplex, ErrOtherKind)
	case c.ClosesWhenFull != other.ClosesWhenFull:
		return fmt.Errorf("pool: closes_when_full: is %t, was %t: %w", other.ClosesWhenFull, c.ClosesWhenFull, ErrOtherKind)
	case c.ClosesIdle != other.ClosesIdle:
		return fmt.Errorf("pool: closes_idle: is %t, was %t: %w", other.ClosesIdle, c.ClosesIdle, ErrOtherKind)
	case c.WorksOn != other.WorksOn:
		return fmt.Errorf("pool: works_on: is %t, was %t: %w", other.WorksOn, c.WorksOn, ErrOtherKind)
	}
	return nil
}

// trim closes idle connections: those beyond Config.Workers, or all if none is kept any
// more.
func (p *Pool) trim(in *instance) {
	if !p.keeps(in) {
		p.evictExclusive(in)
	}
	for range min(p.excess(in), len(in.idle)) {
		p.evictOldest(in)
	}
}

// excess is how many connections in has beyond Config.Workers or the limit, which was larger when
// they were made. It does not count those that are being closed.
func (p *Pool) excess(in *instance) int {
	return in.used() - in.count[closing] - p.limit.within(p.config().Workers)
}

// isSurplus reports whether c, which nobody uses any more, is one of the excess.
func (p *Pool) isSurplus(c *conn) bool {
	n := p.excess(c.inst)
	if c.state == closing {
		n++ // it may be kept after all
	}
	return n > 0
}

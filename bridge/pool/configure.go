package pool

import (
	"errors"
	"fmt"
	"time"
)

// ErrOtherKind is what Configure returns for a Config that only another pool can go by.
var ErrOtherKind = errors.New("pool: only another pool can go by that")

// Configure has the pool go by cfg from now on: Workers, all times, and KeepAlive.
// ErrOtherKind says that cfg means another kind of application: another Multiplex,
// TurnsAway, Retires or WorksOn. What New would refuse is refused. An error changes nothing.
// Instances, Codec, Logger, OnOutage and Memory stay as they are, whatever cfg says.
//
// No request is stopped. Where an instance has more connections than Workers now,
// unused ones are closed at once, the others as their requests end, and none is made
// until there is room. An instance that was believed to hold all Workers is believed to
// hold the new number, one that was found to be full no more than before. Who waits,
// connects or closes goes on for as long as it would have.
func (p *Pool) Configure(cfg Config) error {
	cfg.Codec = p.config().Codec
	if err := cfg.complete(); err != nil {
		return err
	}
	p.mu.Lock()
	toClose, err := p.configure(cfg)
	p.mu.Unlock()
	p.closeAll(toClose)
	return err
}

// CanBecome returns the error that Configure would, and changes nothing.
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

// configure is Configure for a Config that is complete. It returns what has to be closed.
func (p *Pool) configure(cfg Config) (toClose []*conn, err error) {
	if p.closed {
		return nil, ErrClosed
	}
	was := p.config()
	if err := was.sameKind(&cfg); err != nil {
		return nil, err
	}
	cfg.Instances, cfg.Logger, cfg.OnOutage, cfg.Memory = was.Instances, was.Logger, was.OnOutage, was.Memory
	p.cfg.Store(&cfg)
	for _, list := range [...][]*instance{p.instances, p.draining} {
		for _, in := range list {
			in.observed.rebase(was.Workers, cfg.Workers)
			toClose = append(toClose, p.trim(in)...)
		}
	}
	p.recount()
	p.schedule(time.Now()) // what is due by the new times, and those who wait
	return toClose, nil
}

// shed takes out unused connections for closing: those that are too many, or all if
// none is to be kept any more.
func (p *Pool) trim(in *instance) (toClose []*conn) {
	if !p.keeps(in) {
		toClose = p.evictExclusive(in)
	}
	for range min(p.excess(in), len(in.idle)) {
		toClose = append(toClose, p.evictOldest(in))
	}
	return toClose
}

// tooMany is how many connections in has beyond Config.Workers, which was larger when
// they were made. Those that are being closed are on their way.
func (p *Pool) excess(in *instance) int {
	return in.used() - in.count[closing] - p.config().Workers
}

// surplus reports whether c, which nobody uses any more, is one too many.
func (p *Pool) isSurplus(c *conn) bool {
	n := p.excess(c.inst)
	if c.state == closing {
		n++ // it might have stayed
	}
	return n > 0
}

// sameKind returns an error that names what makes of other another kind of application.
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

package pool

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// standing is whether requests are sent to an instance.
//
//	newcomer -> serving: it is added
//	serving -> draining: no more are, and those it has may end
//	draining -> serving: they are again
//	serving, draining -> removed: it is forgotten, and what it has is cut
type membership uint8

const (
	joining membership = iota
	serving
	draining
	removed
)

// Add has requests sent to one more instance, those that wait first. Its error is
// ErrClosed, or says that there is one of that address, which may be draining.
func (p *Pool) Add(in Instance) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	if p.find(in.Addr) != nil {
		p.mu.Unlock()
		return fmt.Errorf("pool: there is an instance %s already", in.Addr)
	}
	toClose := p.setMembership(newInstance(in, p.config()), serving)
	p.mu.Unlock()
	p.closeAll(toClose)
	return nil
}

// Drain has no more requests sent to an instance. Those that wait for it go to others, or
// wait for one; those that it has may end. Its idle connections are closed at once, the
// others as soon as nothing uses them. The channel is closed when it has no connection
// left, nor any that is being made or closed, or is removed; never if the draining is
// undone before. An instance that is not known has no connections.
func (p *Pool) Drain(addr string) <-chan struct{} {
	p.mu.Lock()
	in := p.find(addr)
	if in == nil {
		p.mu.Unlock()
		none := make(chan struct{})
		close(none)
		return none
	}
	var toClose []*conn
	if in.membership == serving {
		toClose = p.setMembership(in, draining)
	}
	drained := in.drained
	p.mu.Unlock()
	p.closeAll(toClose)
	return drained
}

// Resume undoes Drain. It does nothing to an instance that is not drained.
func (p *Pool) Resume(addr string) {
	p.mu.Lock()
	var toClose []*conn
	if in := p.find(addr); in != nil && in.membership == draining && !p.closed {
		toClose = p.setMembership(in, serving)
	}
	p.mu.Unlock()
	p.closeAll(toClose)
}

// Remove forgets an instance, drained or not. Connections to it that are left are cut:
// what they are used for fails with ErrRemoved, and is safe to be sent again only where
// nothing was sent. Nothing is dialled or sent there any more when it returns, but for
// what was being written.
func (p *Pool) Remove(addr string) {
	p.mu.Lock()
	in := p.find(addr)
	if in == nil {
		p.mu.Unlock()
		return
	}
	left := in.inUse()
	toClose := p.setMembership(in, removed)
	p.mu.Unlock()
	for _, c := range left {
		c.cut(ErrRemoved)
	}
	p.closeAll(toClose)
}

// enter is the one place where an instance's standing changes. It has everybody who waits
// look again, and returns what has to be closed.
func (p *Pool) setMembership(in *instance, to membership) (toClose []*conn) {
	p.unlist(in)
	in.membership = to
	switch to {
	case serving:
		p.instances = append(p.instances, in)
		p.allowDials(in)
		in.drained = nil
		p.forgetFailures(in)
		p.schedule(time.Now()) // what is due for it, and for another that was alone
	case draining:
		p.draining = append(p.draining, in)
		in.drained = make(chan struct{})
		toClose = p.evictInstance(in)
		in.signalDrained()
	case removed:
		p.removed++
		p.removedCounters.add(in.counters)
		in.counters = &p.removedCounters
		toClose = p.evictInstance(in)
		in.signalDrained()
	}
	p.recount()
	return append(toClose, p.dispatchWaiters()...)
}

// leave takes in from where its standing has put it.
func (p *Pool) unlist(in *instance) {
	same := func(other *instance) bool { return other == in }
	switch in.membership {
	case serving:
		p.instances = slices.DeleteFunc(p.instances, same)
	case draining:
		p.draining = slices.DeleteFunc(p.draining, same)
	}
}

// desert ends the dials to in, has those for whom they were go elsewhere, and takes out
// its idle connections for closing.
func (p *Pool) evictInstance(in *instance) (toClose []*conn) {
	p.cancelDials(in)
	p.stopQueries(in)
	return p.evictAll(in)
}

// endDials ends the dials to in, which nobody waits for any more.
func (p *Pool) cancelDials(in *instance) {
	in.cancel()
	for e := p.waiters.Front(); e != nil; e = e.Next() {
		if w := e.Value.(*waiter); w.dial != nil && w.dial.conn.inst == in {
			w.dial = nil
		}
	}
}

func (p *Pool) allowDials(in *instance) { in.ctx, in.cancel = context.WithCancel(p.ctx) }

// forgive has those who wait try in, whatever became of that before.
func (p *Pool) forgetFailures(in *instance) {
	for e := p.waiters.Front(); e != nil; e = e.Next() {
		w := e.Value.(*waiter)
		w.failed = slices.DeleteFunc(w.failed, func(e *DialError) bool { return e.Addr == in.Addr })
	}
}

func (p *Pool) isRemoved(in *instance) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return in.membership == removed
}

// find returns the instance of an address, nil if there is none.
func (p *Pool) find(addr string) *instance {
	for _, list := range [...][]*instance{p.instances, p.draining} {
		for _, in := range list {
			if in.Addr == addr {
				return in
			}
		}
	}
	return nil
}

// inUse returns the connections that somebody writes to or reads from.
func (in *instance) inUse() (conns []*conn) {
	for c := range in.all {
		if c.state != dialing && c.state != idle {
			conns = append(conns, c)
		}
	}
	return conns
}

// announce tells those who wait for it that nothing of in is left.
func (in *instance) signalDrained() {
	if in.drained == nil || in.used() > 0 && in.membership != removed {
		return
	}
	select {
	case <-in.drained: // they were told
	default:
		close(in.drained)
	}
}

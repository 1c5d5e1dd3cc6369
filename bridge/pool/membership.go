package pool

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// membership is whether requests are sent to an instance.
//
//	joining -> serving: Add
//	serving -> draining: Drain; it gets no new requests, and those it has may end
//	draining -> serving: Resume
//	serving, draining -> removed: Remove; its connections are cut
type membership uint8

const (
	joining membership = iota
	serving
	draining
	removed
)

// Add adds an instance. Requests that wait are sent there first. The error is ErrClosed, or
// says that there is an instance of that address, which may be draining.
func (p *Pool) Add(in Instance) error {
	p.mu.Lock()
	defer p.unlock()
	if p.closed {
		return ErrClosed
	}
	if p.find(in.Addr) != nil {
		return fmt.Errorf("pool: there is an instance %s already", in.Addr)
	}
	p.setMembership(newInstance(in, p.config(), &p.limit), serving)
	return nil
}

// Drain sends no more requests to an instance. Requests that wait for it go to other
// instances, or wait for one; requests that it has may end. Its idle connections are closed
// at once, the others when nothing uses them any more. The returned channel is closed when
// the instance has no connections left, not even one that is being made or closed, or when
// it is removed; never if Resume comes before. An unknown instance has no connections.
func (p *Pool) Drain(addr string) <-chan struct{} {
	p.mu.Lock()
	defer p.unlock()
	in := p.find(addr)
	if in == nil {
		none := make(chan struct{})
		close(none)
		return none
	}
	if in.membership == serving {
		p.setMembership(in, draining)
	}
	return in.drained
}

// Resume undoes Drain. It does nothing to an instance that is not draining.
func (p *Pool) Resume(addr string) {
	p.mu.Lock()
	defer p.unlock()
	if in := p.find(addr); in != nil && in.membership == draining && !p.closed {
		p.setMembership(in, serving)
	}
}

// Remove removes an instance, draining or not, and cuts the connections that it has left.
// Requests on them fail with ErrRemoved. They are safe to send again only if nothing was
// sent. When Remove returns, nothing is dialled or sent there any more, except for writes
// that had begun.
func (p *Pool) Remove(addr string) {
	p.mu.Lock()
	in := p.find(addr)
	if in == nil {
		p.mu.Unlock()
		return
	}
	left := in.inUse()
	p.setMembership(in, removed)
	idle := p.takeToClose()
	p.mu.Unlock()
	for _, c := range left {
		c.cut(ErrRemoved)
	}
	p.closeAll(idle)
}

// setMembership is the one place where the membership of an instance changes. It lets all
// waiters look again.
func (p *Pool) setMembership(in *instance, to membership) {
	p.unlist(in)
	in.membership = to
	switch to {
	case serving:
		p.instances = append(p.instances, in)
		p.allowDials(in)
		in.drained = nil
		p.forgetFailures(in)
		p.schedule(time.Now()) // what is due for it, and for an instance that was alone
	case draining:
		p.draining = append(p.draining, in)
		in.drained = make(chan struct{})
		p.evictInstance(in)
		in.signalDrained()
	case removed:
		p.removed++
		p.removedCounters.add(in.counters)
		in.counters = p.removedCounters
		p.evictInstance(in)
		in.signalDrained()
	}
	p.recount()
	p.dispatchWaiters()
}

// unlist takes in off the list of its membership.
func (p *Pool) unlist(in *instance) {
	same := func(other *instance) bool { return other == in }
	switch in.membership {
	case serving:
		p.instances = slices.DeleteFunc(p.instances, same)
	case draining:
		p.draining = slices.DeleteFunc(p.draining, same)
	}
}

// evictInstance ends the dials and queries to in, and evicts its idle connections. Those
// who waited for the dials look for another instance.
func (p *Pool) evictInstance(in *instance) {
	p.cancelDials(in)
	p.stopQueries(in)
	p.evictAll(in)
}

// cancelDials ends the dials to in. Nobody waits for them any more.
func (p *Pool) cancelDials(in *instance) {
	in.cancel()
	for e := p.waiters.Front(); e != nil; e = e.Next() {
		if w := e.Value.(*waiter); w.dial != nil && w.dial.conn.inst == in {
			w.dial = nil
		}
	}
}

func (p *Pool) allowDials(in *instance) { in.ctx, in.cancel = context.WithCancel(p.ctx) }

// forgetFailures lets all waiters try in, whether or not they have tried it before.
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

// inUse returns the connections that somebody reads from or writes to.
func (in *instance) inUse() (conns []*conn) {
	for c := range in.all {
		if c.state != dialing && c.state != idle {
			conns = append(conns, c)
		}
	}
	return conns
}

// signalDrained closes the channel that Drain returned, if nothing of in is left.
func (in *instance) signalDrained() {
	if in.drained == nil || in.used() > 0 && in.membership != removed {
		return
	}
	select {
	case <-in.drained: // it was closed before
	default:
		close(in.drained)
	}
}

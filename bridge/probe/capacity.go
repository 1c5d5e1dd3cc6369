package probe

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// capacityTest measures the capacity: it holds kept connections that have had an answer.
type capacityTest struct {
	*prober
	held    []*conn
	dropped int // connections that the application closed after its answer
	timeout time.Duration
}

// capacity opens kept connections, one after the other, until one is not answered or Config.Max
// are open. It corrects r.KeepAlive if an idle connection stops the others.
func (p *prober) capacity(r *Report) Fact[Capacity] {
	if !is(r.KeepAlive, Kept) {
		return unknown[Capacity]("measuring it takes connections that are kept")
	}
	f := &capacityTest{prober: p, timeout: max(fullTimeout, p.timeout)}
	defer f.closeAll()
	for len(f.held) < p.cfg.Max {
		c, got, err := p.open(f.timeout)
		if c != nil {
			f.held = append(f.held, c)
		}
		switch {
		case p.ctx.Err() != nil:
			return unknown[Capacity](fmt.Sprintf("%s, with %d connections open", p.reason(p.ctx.Err()), len(f.held)))
		case errors.Is(err, errSilent):
			return f.unanswered(r)
		case errors.Is(err, errClosed):
			return f.result(FullCloses)
		case err != nil:
			return unknown[Capacity](fmt.Sprintf("connection %d: %v", len(f.held)+1, err))
		case got.end.ProtocolStatus == fcgi.StatusOverloaded:
			f.held = f.held[:len(f.held)-1]
			c.close()
			return f.result(FullOverloaded)
		}
	}
	return f.result(FullNotSeen)
}

// result counts the connections that are still held.
func (f *capacityTest) result(full Full) Fact[Capacity] {
	f.prune()
	if len(f.held) == 0 {
		return unknown[Capacity]("it closes connections although it was asked to keep them")
	}
	return known(Capacity{Connections: len(f.held), Full: full, Dropped: f.dropped})
}

// unanswered finds out why the last connection is not answered. If closing another connection
// brings the answer, the last one has waited for that connection's worker.
func (f *capacityTest) unanswered(r *Report) Fact[Capacity] {
	last := f.held[len(f.held)-1]
	f.held = f.held[:len(f.held)-1]
	defer last.close()
	queued := f.queued()
	result := f.result(FullWaits)
	if !result.Known {
		return result
	}
	result.Value.Queued = queued
	n := result.Value.Connections
	f.held[0].close()
	f.held = f.held[1:]
	_, err := last.reply(f.timeout)
	if err == nil {
		f.held = append(f.held, last)
		if !f.stalls() {
			return result
		}
		r.KeepAlive = known(Stalled)
		return unknown[Capacity](fmt.Sprintf("with %s kept, a request on one of them was not answered", connections(n)))
	}
	f.closeAll()
	if _, err = last.reply(f.timeout); err != nil {
		return unknown[Capacity](fmt.Sprintf("connection %d was not answered in %v, nor after all others were closed", n+1, f.timeout))
	}
	r.KeepAlive = known(Stalled)
	return unknown[Capacity](fmt.Sprintf("connection %d was answered only after all others were closed: any idle one stops the others", n+1))
}

// queued returns the present length of the accept queue.
func (f *capacityTest) queued() Fact[int] {
	q := f.queue()
	return Fact[int]{Known: q.Known, Value: q.Value.Depth, Reason: q.Reason}
}

// stalls reports whether a request on a kept connection stays unanswered.
func (f *capacityTest) stalls() bool {
	for i := range f.keepAliveTries() {
		c := f.held[i%min(len(f.held), 4)]
		f.request(c, true)
		if _, err := c.reply(f.prober.timeout); errors.Is(err, errSilent) && f.ctx.Err() == nil {
			return true
		}
	}
	return false
}

// prune drops the connections that the application has closed meanwhile.
func (f *capacityTest) prune() {
	f.held = slices.DeleteFunc(f.held, func(c *conn) bool {
		if !c.closes(time.Millisecond) {
			return false
		}
		c.close()
		f.dropped++
		return true
	})
}

func (f *capacityTest) closeAll() {
	for _, c := range f.held {
		c.close()
	}
	f.held = nil
}

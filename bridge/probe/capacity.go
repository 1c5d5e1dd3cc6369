package probe

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// filling is the measurement of the capacity: connections that were answered on
// and are kept.
type filling struct {
	*prober
	held     []*conn
	dropped  int // closed by the application after its answer
	patience time.Duration
}

// capacity opens kept connections, one after the other, until one is not answered
// or there are Config.Max. It may find that r.KeepAlive was only half the truth.
func (p *prober) capacity(r *Report) Fact[Capacity] {
	if !is(r.KeepAlive, Kept) {
		return unknown[Capacity]("measuring it takes connections that are kept")
	}
	f := &filling{prober: p, patience: max(fullPatience, p.patience)}
	defer f.empty()
	for len(f.held) < p.cfg.Max {
		c, got, err := p.open(f.patience)
		if c != nil {
			f.held = append(f.held, c)
		}
		switch {
		case p.ctx.Err() != nil:
			return unknown[Capacity](fmt.Sprintf("%s, with %d connections open", p.why(p.ctx.Err()), len(f.held)))
		case errors.Is(err, errSilent):
			return f.waiting(r)
		case errors.Is(err, errClosed):
			return f.found(FullCloses)
		case err != nil:
			return unknown[Capacity](fmt.Sprintf("connection %d: %v", len(f.held)+1, err))
		case got.end.ProtocolStatus == fcgi.StatusOverloaded:
			f.held = f.held[:len(f.held)-1]
			c.close()
			return f.found(FullOverloaded)
		}
	}
	return f.found(FullUnseen)
}

// found is the result, once those are counted that are really held.
func (f *filling) found(full Full) Fact[Capacity] {
	f.prune()
	if len(f.held) == 0 {
		return unknown[Capacity]("it closes connections although it was asked to keep them")
	}
	return known(Capacity{Connections: len(f.held), Full: full, Dropped: f.dropped})
}

// waiting finds out what the last connection, on which nothing was answered,
// waits for: if it is answered once another is closed, it was that one's worker.
func (f *filling) waiting(r *Report) Fact[Capacity] {
	last := f.held[len(f.held)-1]
	f.held = f.held[:len(f.held)-1]
	defer last.close()
	queued := f.queued()
	result := f.found(FullWaits)
	if !result.Known {
		return result
	}
	result.Value.Queued = queued
	n := result.Value.Connections
	f.held[0].close()
	f.held = f.held[1:]
	_, err := last.reply(f.patience)
	if err == nil {
		f.held = append(f.held, last)
		if !f.stalls() {
			return result
		}
		r.KeepAlive = known(Stalled)
		return unknown[Capacity](fmt.Sprintf("with %s kept, a request on one of them was not answered", connections(n)))
	}
	f.empty()
	if _, err = last.reply(f.patience); err != nil {
		return unknown[Capacity](fmt.Sprintf("connection %d was not answered in %v, nor after all others were closed", n+1, f.patience))
	}
	r.KeepAlive = known(Stalled)
	return unknown[Capacity](fmt.Sprintf("connection %d was answered only after all others were closed: any idle one stops the others", n+1))
}

// queued is the length of the accept queue now.
func (f *filling) queued() Fact[int] {
	q := f.queue()
	return Fact[int]{Known: q.Known, Value: q.Value.Depth, Reason: q.Reason}
}

// stalls reports whether a request on a kept connection stays unanswered.
func (f *filling) stalls() bool {
	for i := range f.insistence() {
		c := f.held[i%min(len(f.held), 4)]
		f.request(c, true)
		if _, err := c.reply(f.prober.patience); errors.Is(err, errSilent) && f.ctx.Err() == nil {
			return true
		}
	}
	return false
}

// prune drops the connections that the application has closed meanwhile.
func (f *filling) prune() {
	f.held = slices.DeleteFunc(f.held, func(c *conn) bool {
		if !c.closes(time.Millisecond) {
			return false
		}
		c.close()
		f.dropped++
		return true
	})
}

func (f *filling) empty() {
	for _, c := range f.held {
		c.close()
	}
	f.held = nil
}

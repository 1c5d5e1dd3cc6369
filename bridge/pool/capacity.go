package pool

import (
	"log/slog"
	"time"
)

// growEvery is how long after an application was full it is asked for one more.
const growEvery = time.Minute

// capacity is how many connections an instance is believed to hold. It starts at
// Config.Workers and is lowered each time the application shows that it is full,
// because somebody else may use it too, or workers may be set too high.
type capacity struct {
	now    int // at least 1, at most Config.Workers
	growAt time.Time
	fullAt time.Time // when the application was last seen to be full

	// proven is the most connections that have been open at once and had each got a
	// byte of answer, at least 1; answering is how many are so now. Up to there a new
	// connection is not expected to be turned away.
	proven, answering int
	freedAt           time.Time // when one of those was closed last: its thread may not be free yet
}

// lately is how long an application may take to free what a closed connection held,
// on a busy machine.
const lately = time.Second

func (o *capacity) freedLately() bool { return !o.freedAt.IsZero() && time.Since(o.freedAt) < lately }

// noteFull lowers what in is believed to hold to one less than it was just asked
// to.
func (p *Pool) noteFull(in *instance) {
	o := &in.observed
	before := o.now
	o.fullAt = time.Now()
	o.now = max(1, min(o.now, in.used()-1))
	o.proven = min(o.proven, o.now)
	if o.now == p.cfg.Workers {
		return
	}
	if before == p.cfg.Workers {
		p.log(in, slog.LevelWarn, "the application is full with fewer connections than it has workers",
			slog.Int("connections", o.now), slog.Int("workers", p.cfg.Workers))
	}
	o.growAt = o.fullAt.Add(growEvery)
	p.schedule(o.growAt)
}

// turnedAway notes that in closed a new connection, or ended a request, because it
// is full. That says nothing of what it can hold while it may not have noticed that
// a connection is gone. Nor does it if it is not certain: a process that was killed
// looks the same. But then new connections are asked for a while, and if it is full
// the next one is certain. It reports whether in has answered a request lately.
func (p *Pool) turnedAway(in *instance, certain bool) (serving bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in.counters.turnedAway++
	if certain && !in.observed.freedLately() {
		p.noteFull(in)
	}
	in.observed.fullAt = time.Now()
	return in.servedLately(time.Minute)
}

// grow raises what in is believed to hold if it is time, and schedules the next
// time.
func (p *Pool) grow(in *instance, now time.Time) {
	o := &in.observed
	if o.now >= p.cfg.Workers {
		return
	}
	if !now.Before(o.growAt) {
		o.now++
		o.growAt = now.Add(growEvery)
		if o.now == p.cfg.Workers {
			p.log(in, slog.LevelInfo, "the application is trusted with all its workers again", slog.Int("workers", o.now))
		}
	}
	if o.now < p.cfg.Workers {
		p.schedule(o.growAt)
	}
}

// mayTurnAway reports whether a new connection may be closed because the application
// is full, and that would do harm: it was full lately, or the request cannot be sent
// again and the application never had so many, or may not have noticed yet that it
// has one less, or the request has met trouble before.
func (p *Pool) mayTurnAway(in *instance, d Demand) bool {
	if !p.cfg.TurnsAway {
		return false
	}
	full := in.observed.now < p.cfg.Workers || !in.observed.fullAt.IsZero() && time.Since(in.observed.fullAt) < growEvery
	return full || d.Settled && (d.Fresh || in.used() > in.observed.proven || in.observed.freedLately())
}

// noteAnswering counts a connection on which the first byte of answer has come.
func (p *Pool) noteAnswering(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.answered {
		return
	}
	c.answered = true
	o := &c.inst.observed
	o.answering++
	o.proven = max(o.proven, o.answering)
}

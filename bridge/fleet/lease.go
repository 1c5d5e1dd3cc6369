package fleet

import (
	"math"
	"time"
)

// lease is the gate's side of a lease, without I/O. Times are the gate's own.
type lease struct {
	terms   Terms
	began   time.Time // when the gate began without a lease
	seq     uint64
	keep    int       // what it may use, by the last grant
	granted time.Time // when the report was sent that led to the last grant; zero: never
	short   decaying
	wanted  decaying
	drains  bool
	drained int // while it drains: what it may use, which never grows
}

// report returns the next report.
func (l *lease) report(now time.Time, use Usage, mode Mode) Report {
	l.seq++
	if mode == Drain && !l.drains {
		l.drains, l.drained = true, l.allowed(now)
	}
	if l.drains {
		l.drained = min(l.drained, max(use.Wanted, use.Connections))
	}
	r := Report{Seq: l.seq, Mode: mode, Holds: max(l.allowed(now), use.Connections)}
	r.Short, r.Wanted = l.short.at(now), l.wanted.at(now)
	return r
}

// grant notes the answer to a report that was sent at a time. It reports whether it counts.
func (l *lease) grant(sent time.Time, r Report, g Grant) bool {
	if r.Seq != l.seq || g.Status == Late {
		return false
	}
	l.keep, l.granted = min(g.Granted, g.Keep), sent
	return true
}

// note notes what the gate needs.
func (l *lease) note(now time.Time, use Usage) {
	l.short.note(now, use.Short)
	l.wanted.note(now, use.Wanted)
}

// allowed is how many connections the gate may have at a time.
func (l *lease) allowed(now time.Time) int {
	n := l.byGrant(now)
	if l.drains {
		n = min(n, l.drained)
	}
	return n
}

func (l *lease) byGrant(now time.Time) int {
	share := l.terms.Share()
	switch {
	case l.granted.IsZero():
		if now.Before(l.began.Add(l.terms.Term + l.terms.quiet())) {
			return 0 // others may have it
		}
		return share
	case now.Before(l.ends()):
		return l.keep
	case now.Before(l.ends().Add(l.terms.quiet())):
		return min(l.keep, share)
	}
	return share
}

// ends is when the lease ends, if it is not renewed.
func (l *lease) ends() time.Time { return l.granted.Add(l.terms.Term) }

// holds reports whether the lease has not ended.
func (l *lease) holds(now time.Time) bool { return !l.granted.IsZero() && now.Before(l.ends()) }

// decaying is a number that follows its peaks, and falls by half in each halfLife without one: a
// lease that is given away at each pause is missed at once.
type decaying struct {
	peak float64
	when time.Time
}

const halfLife = 2 * time.Second

func (d *decaying) note(now time.Time, n int) {
	d.peak, d.when = max(d.value(now), float64(n)), now
}

func (d *decaying) value(now time.Time) float64 {
	if d.peak == 0 {
		return 0
	}
	return d.peak * math.Exp2(-now.Sub(d.when).Seconds()/halfLife.Seconds())
}

func (d *decaying) at(now time.Time) int { return int(math.Round(d.value(now))) }

package supervise

import (
	"slices"
	"time"
)

// expose has requests sent to an instance.
func (k *keeper) expose(s *slot) {
	if s.exposed {
		return
	}
	if !k.isOpen() && k.wanted.Load() > k.scale.away {
		k.scale.back = k.ticks(time.Now())
	}
	s.exposed = true
	if s.added {
		k.front.Resume(s.socket.addr)
		return
	}
	s.added = true
	if err := k.front.Add(s.socket.addr, s.alive.Load); err != nil {
		k.log.Error("requests cannot be sent to a new instance", "instance", s.socket.addr, "error", err.Error())
	}
}

// isOpen reports whether there is an instance that requests are sent to.
func (k *keeper) isOpen() bool {
	return slices.ContainsFunc(k.slots, func(s *slot) bool { return s.exposed })
}

// conceal has no more sent there. What it returns is closed when no connection is left.
func (k *keeper) conceal(s *slot) <-chan struct{} {
	s.exposed = false
	if !k.isOpen() {
		k.scale.away = k.ticks(time.Now())
	}
	if !s.added {
		nobody := make(chan struct{})
		close(nobody)
		return nobody
	}
	return k.front.Drain(s.socket.addr)
}

// longPause is how long nothing must run at an instance for requests to go to others.
const longPause = 200 * time.Millisecond

// steer has no requests sent where nothing will run for a while, if there are others to
// send them to.
func (k *keeper) steer(now time.Time) {
	if !slices.ContainsFunc(k.slots, func(s *slot) bool { return s.alive.Load() && s.exposed && s.machine.state.works() }) {
		return
	}
	for _, s := range k.slots {
		if s.alive.Load() || !s.exposed {
			continue
		}
		if s.child != nil && now.Sub(s.quiet) < longPause {
			k.at(s.quiet.Add(longPause)) // something of it is left yet, or it is being started
			continue
		}
		if s.child == nil && s.pausesUntil().Sub(now) <= longPause {
			continue
		}
		k.conceal(s)
		if s.child == nil || isClosed(s.child.dead()) {
			k.front.Fail(s.socket.addr) // one that is being started may read it any moment
		}
	}
}

// pausesUntil is when the next child will be started, or later.
func (s *slot) pausesUntil() time.Time {
	m := s.machine
	switch {
	case s.death != nil && !s.death.judged:
		return s.death.exit.Time.Add(firstPause) // if it did not serve, which is likely
	case m.state == Waiting:
		return m.next
	case m.state == Broken && m.next.IsZero():
		return m.since.Add(steady) // another one is tried
	case m.state == Broken:
		return m.next
	}
	return time.Time{}
}

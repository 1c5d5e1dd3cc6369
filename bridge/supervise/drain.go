package supervise

import (
	"context"
	"log/slog"
	"time"
)

// retire has an instance go when its requests are done.
func (k *keeper) retire(s *slot, now time.Time) { k.drain(s, now, retire) }

// drain has a child end when its requests are done. Why is an event.
func (k *keeper) drain(s *slot, now time.Time, why event) {
	k.step(s, now, why)
	if s.machine.state != Draining || s.drained != nil {
		return
	}
	k.unwatch(s)
	s.drained = k.conceal(s)
	s.drainBy = now.Add(k.plan.DrainTimeout)
	if s.slow && k.plan.StallKill > 0 {
		s.drainBy = now.Add(min(k.plan.StallKill, k.plan.DrainTimeout))
	}
	drained := s.drained
	ctx, cancel := context.WithCancel(k.ctx)
	s.undrained = cancel
	k.tasks.Go(func() {
		defer cancel()
		select {
		case <-drained:
			k.nudge()
		case <-ctx.Done():
		}
	})
}

// checkDrain ends a child that has nothing to do any more, or has had time enough.
func (k *keeper) checkDrain(s *slot, now time.Time) {
	if s.drained == nil {
		return // it has died meanwhile
	}
	overdue := !now.Before(s.drainBy)
	if !isClosed(s.drained) && !overdue {
		k.at(s.drainBy)
		return
	}
	k.endDrain(s)
	k.step(s, now, drained)
	if !overdue {
		s.child.stop(0)
		return
	}
	s.cause = drainedLong
	k.log.Warn("requests that did not finish are cut off with their process", "instance", s.socket.addr, "pid", s.child.pid(),
		"in_flight", slog.AnyValue(requests(k.front.InFlight(s.socket.addr))))
	if s.slow {
		k.dumpAndEnd(s.child)
		return
	}
	s.child.stop(0)
}

// undrain has a child go on after all. Why is an event.
func (k *keeper) undrain(s *slot, now time.Time, why event) {
	k.step(s, now, why)
	if s.machine.state.works() {
		k.endDrain(s)
		k.expose(s)
	}
}

// endDrain ends the wait for what is left.
func (k *keeper) endDrain(s *slot) {
	if s.drained != nil {
		s.undrained()
		s.drained, s.undrained = nil, nil
	}
}

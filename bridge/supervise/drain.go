package supervise

import (
	"context"
	"log/slog"
	"time"
)

// drainage is the wait for what a child has to finish.
type drainage struct {
	done   <-chan struct{} // closed when no connection is left
	by     time.Time       // when that must be
	forget func()          // nobody wants to know any more
}

// retire has an instance go when its requests are done.
func (k *keeper) retire(s *slot, now time.Time) { k.drain(s, now, retire) }

// drain has a child end when its requests are done. Why is an event.
func (k *keeper) drain(s *slot, now time.Time, why event) {
	k.step(s, now, why)
	if s.machine.state != Draining || s.drainage != nil {
		return
	}
	k.unwatch(s)
	patience := k.plan.DrainTimeout
	if s.slow && k.plan.StallKill > 0 {
		patience = min(k.plan.StallKill, patience)
	}
	ctx, cancel := context.WithCancel(k.ctx)
	drained := k.conceal(s)
	s.drainage = &drainage{drained, now.Add(patience), cancel}
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
	d := s.drainage
	overdue := !now.Before(d.by)
	if !isClosed(d.done) && !overdue {
		k.at(d.by)
		return
	}
	k.endDrain(s)
	k.step(s, now, drained)
	s.endBy = now.Add(endTime)
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
	if s.drainage != nil {
		s.drainage.forget()
		s.drainage = nil
	}
}

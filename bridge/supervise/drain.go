package supervise

import (
	"context"
	"log/slog"
	"time"
)

// drainage is the wait for what a child has to finish.
type drainWait struct {
	done     <-chan struct{} // closed when no connection is left
	deadline time.Time       // when that must be
	cancel   func()          // nobody wants to know any more
}

// retire has an instance go when its requests are done.
func (sup *supervisor) retire(in *instance, now time.Time) { sup.drain(in, now, retire) }

// drain has a child end when its requests are done. Why is an event.
func (sup *supervisor) drain(in *instance, now time.Time, why event) {
	sup.step(in, now, why)
	if in.machine.state != Draining || in.drainWait != nil {
		return
	}
	sup.stopAwaitingReady(in)
	patience := sup.plan.DrainTimeout
	if in.overtime && sup.plan.StallKill > 0 {
		patience = min(sup.plan.StallKill, patience)
	}
	ctx, cancel := context.WithCancel(sup.ctx)
	drained := sup.removeFromRotation(in)
	in.drainWait = &drainWait{drained, now.Add(patience), cancel}
	sup.tasks.Go(func() {
		defer cancel()
		select {
		case <-drained:
			sup.wake()
		case <-ctx.Done():
		}
	})
}

// checkDrain ends a child that has nothing to do any more, or has had time enough.
func (sup *supervisor) checkDrain(in *instance, now time.Time) {
	d := in.drainWait
	overdue := !now.Before(d.deadline)
	if !isClosed(d.done) && !overdue {
		sup.wakeAt(d.deadline)
		return
	}
	sup.stopDrainWait(in)
	sup.step(in, now, drained)
	in.stopBy = now.Add(stopTimeout)
	if !overdue {
		in.child.Stop(0)
		return
	}
	in.cause = drainTimedOut
	sup.log.Warn("requests that did not finish are cut off with their process", "instance", in.socket.Addr, "pid", in.child.PID(),
		"in_flight", slog.AnyValue(requests(sup.front.InFlight(in.socket.Addr))))
	if in.overtime {
		sup.dumpAndStop(in.child)
		return
	}
	in.child.Stop(0)
}

// undrain has a child go on after all. Why is an event.
func (sup *supervisor) cancelDrain(in *instance, now time.Time, why event) {
	sup.step(in, now, why)
	if in.machine.state.takesRequests() {
		sup.stopDrainWait(in)
		sup.addToRotation(in)
	}
}

// endDrain ends the wait for what is left.
func (sup *supervisor) stopDrainWait(in *instance) {
	if in.drainWait != nil {
		in.drainWait.cancel()
		in.drainWait = nil
	}
}

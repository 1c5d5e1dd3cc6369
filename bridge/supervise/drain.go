package supervise

import (
	"context"
	"log/slog"
	"time"
)

// drainWait is the waiting for the requests of a draining child.
type drainWait struct {
	done     <-chan struct{} // closed when no connection is left
	deadline time.Time       // when the child is stopped in any case
	cancel   func()          // ends the waiting
}

// retire removes an instance when its requests are finished.
func (sup *supervisor) retire(in *instance, now time.Time) { sup.drain(in, now, retire) }

// drain stops a child when its requests are finished; why is retire, replace or goIdle.
func (sup *supervisor) drain(in *instance, now time.Time, why event) {
	sup.step(in, now, why)
	if in.machine.state != stateDraining || in.drainWait != nil {
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

// checkDrain stops a draining child whose requests are finished, or whose time is over.
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
		"in_flight", slog.AnyValue(requests(sup.front.InFlight(in.socket.Addr))), "advice", "raise spawn.drain_timeout (--command-drain-timeout) if they may take that long")
	if in.overtime {
		sup.dumpAndStop(in.child)
		return
	}
	in.child.Stop(0)
}

// cancelDrain has a draining child go on; why is requested or drainCancelled.
func (sup *supervisor) cancelDrain(in *instance, now time.Time, why event) {
	sup.step(in, now, why)
	if in.machine.state.takesRequests() {
		sup.stopDrainWait(in)
		sup.addToRotation(in)
	}
}

// stopDrainWait ends the waiting.
func (sup *supervisor) stopDrainWait(in *instance) {
	if in.drainWait != nil {
		in.drainWait.cancel()
		in.drainWait = nil
	}
}

package supervise

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
)

const (
	// classifyDelay is how long after its exit a child may turn out to have served: its last
	// answer may not have been reported yet. It is less than minBackoff, and so costs nothing.
	classifyDelay = 500 * time.Millisecond
	// reportDelay is how long an exit waits for reports of the connections that have ended with
	// the child.
	reportDelay = 100 * time.Millisecond
)

// pendingExit is an exit that is not logged yet. It is classified first - had the child
// served? - which decides what follows, and then reported, with the requests that were hit.
type pendingExit struct {
	exit       Exit
	due        time.Time // when the next of these steps is made
	classified bool      // the first step was made
	planned    bool      // the child was to end
	clean      bool      // see Exit.isClean; set when classified
}

// noteExit takes note of an exit, when nothing is left of the child.
func (sup *supervisor) noteExit(in *instance, now time.Time, ended proc.Exit) {
	sup.stopAwaitingReady(in)
	p := &pendingExit{exit: newExit(&ended), due: ended.Time.Add(classifyDelay), planned: in.machine.state == stateEnding}
	p.exit.Lived, p.exit.Cause = ended.Time.Sub(in.machine.startedAt), in.cause
	if in.cause == overTotalLimit {
		sup.memory.settledAt = now.Add(2 * checkInterval) // until then samples may include the child
	}
	if p.exit.OutOfMemory && in.cause == "" {
		p.exit.Cause = oomKilled
	}
	in.child, in.pendingExit = nil, p
	in.stopBy, in.stuck = time.Time{}, false
	if ended.Err != "" {
		sup.reportStart(errors.New(ended.Err))
	}
	if in.stats.Load().answers.Load() == 0 && !p.planned {
		sup.reportFirst(fmt.Errorf("ended at once: %s (what it printed is in the log%s)", p.exit.how(), p.exit.hint(sup.plan.Socket)))
	} else {
		sup.reportFirst(nil)
	}
	sup.again = true
}

// classifyExit decides what follows an exit, as soon as it is known whether the child has
// served, and reports the exit when that is due.
func (sup *supervisor) classifyExit(in *instance, now time.Time) {
	p := in.pendingExit
	proven := in.stats.Load().answers.Load() > 0
	if !p.classified && (proven || !in.machine.state.isUnproven() || !now.Before(p.due)) {
		p.classified = true
		p.due = now
		if p.exit.Err == "" && !p.planned {
			p.due = now.Add(reportDelay)
		}
		p.exit.Served = proven
		p.clean = !p.planned && p.exit.isClean()
		sup.counters.count(&p.exit, p.planned)
		sup.applyExit(in)
	}
	if now.Before(p.due) {
		sup.wakeAt(p.due)
		return
	}
	sup.reportExit(in, now)
}

// applyExit has an exit happen to the instance.
func (sup *supervisor) applyExit(in *instance) {
	before := in.machine.state
	if in.afterCleanExit = in.pendingExit.clean; in.afterCleanExit {
		sup.step(in, in.pendingExit.exit.Time, exitedCleanly)
	} else {
		sup.step(in, in.pendingExit.exit.Time, exited)
	}
	sup.stopDrainWait(in)
	sup.again = true
	err := fmt.Errorf("the new process %s", in.pendingExit.exit.ended())
	switch {
	case in.replaces != nil:
		sup.failReplacement(in, err)
	case before.isUnproven() && sup.keepPredecessor(in):
		sup.failReplacement(in, err)
	case in.forRestart && before != stateDraining && before != stateEnding:
		sup.failRestart(err)
	}
	switch {
	case in.machine.state == stateAsleep && sup.plan.queues():
		sup.addToRotation(in) // a connection waits for the child that is started then
	case in.machine.state != stateClosed && !sup.plan.queues() && in.inRotation:
		sup.removeFromRotation(in) // until the next child is ready
	}
}

// reportExit logs an exit, with the requests that it has hit.
func (sup *supervisor) reportExit(in *instance, now time.Time) {
	p := in.pendingExit
	in.pendingExit = nil
	sup.again = true
	e := p.exit
	sup.tellExit(in, p)
	if p.planned {
		sup.log.Info("a process that is not needed any more has ended", "instance", in.socket.Addr, "pid", e.PID, "exit", e.how(), "lived", e.Lived.Round(time.Millisecond))
		return
	}
	e.InFlight = in.lost.take(e.Time)
	in.lastExit = &e
	if p.clean {
		sup.cleanExits.log(sup, in, &e, now)
		sup.concurrency.noteCleanExit(sup, in)
		if len(e.InFlight) > 0 {
			sup.noteSuspects(e, now)
		}
		return
	}
	what := sup.crashLoop.note(e)
	if what != noEvent || !sup.crashLoop.active {
		attrs := []any{"exit", e.how(), "instance", in.socket.Addr, "pid", e.PID, "lived", e.Lived.Round(time.Millisecond), "served", e.Served}
		if len(e.Lines) > 0 {
			attrs = append(attrs, "last_lines", e.Lines)
		}
		attrs = append(attrs, "state", in.machine.state.String())
		if !in.machine.next.IsZero() {
			attrs = append(attrs, "next_in", max(in.machine.next.Sub(now), 0).Round(time.Millisecond))
		}
		if len(e.InFlight) > 0 {
			attrs = append(attrs, slog.Any("in_flight", requests(e.InFlight)))
		}
		sup.log.Error("the command has ended", append(attrs, "advice", "see its last lines; it is started again")...)
	}
	sup.logCrashLoop(what, now)
	if e.Cause == "" || e.Cause == overHardLimit || e.Cause == oomKilled {
		sup.noteSuspects(e, now)
	}
}

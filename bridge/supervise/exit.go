package supervise

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
)

const (
	// judgement is how long a child that has died is given to turn out to have served: its
	// last answer may be on its way to whoever tells us. It is less than the pause after one
	// that did not serve, and costs nothing.
	classifyDelay = 500 * time.Millisecond
	// inquest is how long it is waited for those whose connections have ended with it.
	reportDelay = 100 * time.Millisecond
)

// cause is why we ended a child. It is what the log says.
type cause string

const (
	closing      cause = "it was told to end"
	notReady     cause = "it was not ready within the start timeout"
	overHardLimit     cause = "it used more memory than the hard limit"
	overTotalLimit   cause = "all together used more memory than there is for them, and it the most"
	answersNobody  cause = "it answered nobody"
	drainTimedOut  cause = "its requests did not finish while it was drained"
	oomKilled cause = "the kernel killed it for want of memory"
)

// death is the end of a child.
type pendingExit struct {
	exit       Exit
	due        time.Time // when it is looked into
	classified bool      // what follows is decided
	planned    bool      // it was to end
	clean      bool      // see cleanExit; known when it is judged
}

// bury takes note of a child's end.
func (sup *supervisor) noteExit(in *instance, now time.Time, ended proc.Exit) {
	sup.stopAwaitingReady(in)
	exit := newExit(&ended)
	d := &pendingExit{exit: exit, due: exit.Time.Add(classifyDelay), planned: in.machine.state == Ending}
	d.exit.Lived, d.exit.Cause = exit.Time.Sub(in.machine.startedAt), in.cause
	if in.cause == overTotalLimit {
		sup.memory.settledAt = now.Add(2 * checkInterval) // until then samples may be of before
	}
	if d.exit.OutOfMemory && in.cause == "" {
		d.exit.Cause = oomKilled
	}
	in.child, in.pendingExit = nil, d
	in.stopBy, in.stuck = time.Time{}, false
	if exit.Err != "" {
		sup.reportStart(errors.New(exit.Err))
	}
	if in.stats.Load().answers.Load() == 0 && !d.planned {
		sup.reportFirst(fmt.Errorf("ended at once: %s (what it printed is in the log%s)", d.exit.how(), d.exit.hint()))
	} else {
		sup.reportFirst(nil)
	}
	sup.again = true
}

// judge decides what follows a death, as soon as it is known whether the child had served.
func (sup *supervisor) classifyExit(in *instance, now time.Time) {
	d := in.pendingExit
	proven := in.stats.Load().answers.Load() > 0
	switch {
	case d.classified:
	case proven || !in.machine.state.isUnproven() || !now.Before(d.due):
		d.classified = true
		d.due = now
		if d.exit.Err == "" && !d.planned {
			d.due = now.Add(reportDelay)
		}
		d.exit.Served = proven
		d.clean = !d.planned && d.exit.isClean()
		sup.counters.count(&d.exit, d.planned)
		sup.applyExit(in)
	}
	if now.Before(d.due) {
		sup.wakeAt(d.due)
		return
	}
	sup.reportExit(in, now)
}

// follow has a death happen to the instance.
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
	case in.forRestart && before != Draining && before != Ending:
		sup.failRestart(err)
	}
	switch {
	case in.machine.state == Asleep && sup.plan.Ready == nil:
		sup.addToRotation(in) // what connects waits for the child that is started then
	case in.machine.state != Closed && sup.plan.Ready != nil && in.inRotation:
		sup.removeFromRotation(in) // until the next is ready
	}
}

// inquire tells of a death, with those it has hit.
func (sup *supervisor) reportExit(in *instance, now time.Time) {
	d := in.pendingExit
	in.pendingExit = nil
	sup.again = true
	e := d.exit
	if d.planned {
		sup.log.Info("a process that is not needed any more has ended", "instance", in.socket.Addr, "pid", e.PID, "exit", e.how(), "lived", e.Lived.Round(time.Millisecond))
		return
	}
	e.InFlight = in.lost.take(e.Time)
	in.lastExit = &e
	if d.clean {
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
			attrs = append(attrs, "last_words", e.Lines)
		}
		attrs = append(attrs, "state", in.machine.state.String())
		if !in.machine.next.IsZero() {
			attrs = append(attrs, "next_in", max(in.machine.next.Sub(now), 0).Round(time.Millisecond))
		}
		if len(e.InFlight) > 0 {
			attrs = append(attrs, slog.Any("in_flight", requests(e.InFlight)))
		}
		sup.log.Error("the command has ended", attrs...)
	}
	sup.logCrashLoop(what, now)
	if e.Cause == "" || e.Cause == overHardLimit || e.Cause == oomKilled {
		sup.noteSuspects(e, now)
	}
}

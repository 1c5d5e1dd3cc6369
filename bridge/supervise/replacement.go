package supervise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/sluice-proxy/sluice/bridge/events"
)

// reason is why a child is to be replaced, in the words of the log.
type reason string

const (
	restarted          reason = "restart"
	maxRequestsReached reason = "max_requests"
	maxLifetimeReached reason = "max_lifetime"
	overSoftLimit      reason = "memory_soft"
	maxTimeExceeded    reason = "max_time"
	reconfigured       reason = "configuration"
	unkillable         reason = "does_not_end"
)

// replacement is the replacement of children that run, one at a time. The new child has an
// instance of its own, so that no request for the old one reaches it, and is ready before the
// old one is drained. Where there can be no other instance, because the port is fixed or there
// is no memory for both children, the old one is drained and stopped first.
type replacement struct {
	generation int            // how many restarts were asked for
	waiters    []chan<- error // calls of Restart
	failures   int            // in a row
	retryAt    time.Time      // after a failure: when the next attempt is made; else zero
}

const (
	firstRetry = 10 * time.Second
	mostRetry  = 10 * time.Minute
)

// markForReplacement has the child of an instance replaced.
func (sup *supervisor) markForReplacement(in *instance, why reason) {
	if in.replaceReason != "" || !in.machine.state.takesRequests() || in.replaces != nil {
		return
	}
	in.replaceReason = why
	sup.again = true
}

// restart replaces all children. done gets nil when that is done, or why it failed.
func (sup *supervisor) restart(done chan<- error) {
	sup.replacement.waiters = append(sup.replacement.waiters, done)
	sup.lastWanted.Store(sup.ticks(time.Now()))
	sup.replaceAll(restarted)
}

// replaceAll has each child replaced, and one started in each instance that has none.
func (sup *supervisor) replaceAll(why reason) {
	now := time.Now()
	sup.replacement.generation++
	sup.replacement.retryAt, sup.replacement.failures = time.Time{}, 0
	sup.budget.reset()
	for _, in := range sup.instances {
		sup.replaceOne(in, now, why)
	}
	sup.again = true
}

func (sup *supervisor) replaceOne(in *instance, now time.Time, why reason) {
	if in.pendingExit != nil && !in.pendingExit.classified {
		in.pendingExit.due = now // whether the child had served does not matter any more
		sup.classifyExit(in, now)
	}
	if m := in.machine; m.state == stateDraining && m.drainReason == goIdle && why == restarted {
		sup.cancelDrain(in, now, requested)
	}
	switch m := in.machine; {
	case m.state == stateWaiting, in.sleeps() && why == restarted:
		in.forRestart = true
		sup.step(in, now, requested)
	case in.sleeps(): // the next child is a new one anyway
	case m.state == stateBroken:
		in.forRestart = true
		sup.step(in, now, breakerClosed)
	case m.state.takesRequests():
		sup.markForReplacement(in, why)
	case m.drainReason == replace:
		in.forRestart = true
	}
}

// rollingRestart continues with the replacements.
func (sup *supervisor) rollingRestart(now time.Time) {
	rep := &sup.replacement
	if sup.creation != nil {
		return
	}
	if len(rep.waiters) > 0 && !slices.ContainsFunc(sup.instances, func(in *instance) bool { return in.predatesRestart(rep) || sup.isUndecided(in, now) }) {
		sup.reportRestart(nil) // other children may be marked for other reasons
	}
	if i := slices.IndexFunc(sup.instances, (*instance).inTransition); i >= 0 {
		if in := sup.instances[i]; in.stuck && len(rep.waiters) > 0 {
			sup.failRestart(in.errStuck())
		}
		return
	}
	i := slices.IndexFunc(sup.instances, func(in *instance) bool {
		return in.replaceReason != "" && in.child != nil && in.machine.state.takesRequests()
	})
	if i < 0 {
		if !slices.ContainsFunc(sup.instances, func(in *instance) bool { return sup.isUndecided(in, now) }) {
			sup.finishRestart(nil)
		}
		return
	}
	if now.Before(rep.retryAt) {
		sup.wakeAt(rep.retryAt)
		return
	}
	if sup.scaling.pending {
		sup.again = true // the number of instances comes first
		return
	}
	sup.replace(sup.instances[i], now)
}

// predatesRestart reports whether there is a child from before the last restart was asked for.
func (in *instance) predatesRestart(rep *replacement) bool {
	return in.child != nil && in.generation < rep.generation
}

// isUndecided reports whether a restart has to wait for the child that it has started in an
// instance that had none.
func (sup *supervisor) isUndecided(in *instance, now time.Time) bool {
	m := in.machine
	if !in.forRestart {
		return false
	}
	if in.child != nil && !in.launched {
		return true
	}
	if outlasted := m.startedAt.Add(probation); in.child != nil && m.state.takesRequests() && sup.plan.queues() && now.Before(outlasted) {
		sup.wakeAt(outlasted)
	} else if in.child != nil && (m.state == stateReady || m.state == stateServing || m.state.takesRequests() && sup.plan.queues()) {
		in.forRestart = false
	}
	return in.forRestart
}

// inTransition reports whether an instance is being stopped, or is to replace another.
func (in *instance) inTransition() bool {
	m := in.machine.state
	return in.replaces != nil || m == stateDraining || m == stateEnding || m == stateClosed
}

func (sup *supervisor) replace(in *instance, now time.Time) {
	attrs := []any{
		"instance", in.socket.Addr, "pid", in.child.PID(), "reason", string(in.replaceReason),
		"answered", in.stats.Load().answers.Load(), "lived", now.Sub(in.machine.startedAt).Round(time.Second),
	}
	if used := in.memory.used; used > 0 {
		attrs = append(attrs, "memory", humanize.IBytes(used))
	}
	sup.tell(in, events.Event{Kind: events.Replacement, PID: in.child.PID(), Text: fmt.Sprintf("A process is being replaced: %s.", in.replaceReason)})
	sup.log.Info("a process is replaced", attrs...)
	if sup.plan.hasFixedPort() || !sup.hasRoom() {
		in.forRestart = in.replaceReason == restarted
		sup.drain(in, now, replace)
		return
	}
	sup.createInstance(func(successor *instance, err error) {
		switch now := time.Now(); {
		case err != nil:
			sup.counters.count(&Exit{Err: err.Error()}, false)
			sup.failReplacement(nil, fmt.Errorf("a socket for the new process: %w", err))
		case in.replaceReason == "" || in.child == nil || !in.machine.state.takesRequests():
			sup.step(successor, now, closed) // the old child needs no successor any more
		default:
			successor.replaces = in
			sup.spawn(successor, now)
		}
	})
}

// failReplacement has the old child go on. successor is nil if there is none yet.
func (sup *supervisor) failReplacement(successor *instance, err error) {
	now := time.Now()
	rep := &sup.replacement
	rep.failures++
	rep.retryAt = now.Add(doubled(firstRetry, rep.failures-1, mostRetry))
	if successor != nil {
		successor.replaces = nil
		sup.step(successor, now, closed)
	}
	if len(rep.waiters) == 0 {
		sup.log.Error("replacing a process failed; the old one goes on", "error", err.Error(), "next_in", rep.retryAt.Sub(now), "advice", "see what the new process has written above; it is tried again")
		return
	}
	sup.failRestart(fmt.Errorf("%w; what ran before goes on", err))
}

// failRestart ends a restart that has failed.
func (sup *supervisor) failRestart(err error) {
	sup.log.Error("the restart failed", "error", err.Error(), "advice", "see what the new process has written above, and restart again")
	for _, in := range sup.instances {
		in.forRestart, in.generation = false, sup.replacement.generation
		if in.replaceReason == restarted {
			in.replaceReason = ""
		}
	}
	sup.finishRestart(fmt.Errorf("restart: %w", err))
}

func (sup *supervisor) finishRestart(err error) {
	sup.reportRestart(err)
	sup.replacement.failures, sup.replacement.retryAt = 0, time.Time{}
}

// reportRestart gives all calls of Restart their result.
func (sup *supervisor) reportRestart(err error) {
	for _, done := range sup.replacement.waiters {
		done <- err
	}
	sup.replacement.waiters = nil
}

// keepPredecessor has the child go on that is drained for in, if there is one.
func (sup *supervisor) keepPredecessor(in *instance) bool {
	for _, old := range sup.instances {
		if old.successor == in && old.machine.state == stateDraining {
			old.successor = nil
			sup.cancelDrain(old, time.Now(), drainCancelled)
			return true
		}
	}
	return false
}

// errClosed is the result of a restart that Close has ended.
var errClosed = errors.New("restart: the processes are being ended")

// Restart replaces the processes of all instances, one after the other: requests go to the new
// process when it is ready, and the old one ends when its requests are finished. Restart
// returns when all processes are replaced. If it returns an error, the old ones go on; if ctx
// ends, the restart goes on. Where no process runs because too many had ended, one is started.
func (g *Group) Restart(ctx context.Context) error {
	done := make(chan error, 1)
	sup := g.supervisor
	select {
	case sup.calls <- func() { sup.restart(done) }:
	case <-sup.done:
		return errClosed
	}
	select {
	case err := <-done:
		return err
	case <-sup.done:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

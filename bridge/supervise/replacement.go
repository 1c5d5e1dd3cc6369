package supervise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
)

// reason is why a child is to be replaced. It is what the log says.
type reason string

const (
	restarted      reason = "restart"
	maxRequestsReached reason = "max_requests"
	maxLifetimeReached   reason = "max_lifetime"
	overSoftLimit       reason = "memory_soft"
	maxTimeExceeded      reason = "max_time"
	reconfigured   reason = "configuration"
	unkillable     reason = "does_not_end"
)

// renewal is the replacement of children that serve. There is one at a time. The new one
// has a socket of its own, so that an address always means one line of children, and is
// ready before the old one is drained; where it cannot have one, because the port is
// fixed or there is no memory for both, the old one is drained and ended first.
type replacement struct {
	generation int            // how often a restart was asked for
	waiters    []chan<- error // for the restart
	failures   int            // in a row
	retryAt    time.Time      // after one that failed; zero: it did not
}

const (
	firstRetry = 10 * time.Second
	mostRetry  = 10 * time.Minute
)

// outdate has the child of an instance replaced.
func (sup *supervisor) markForReplacement(in *instance, why reason) {
	if in.replaceReason != "" || !in.machine.state.takesRequests() || in.replaces != nil {
		return
	}
	in.replaceReason = why
	sup.again = true
}

// restart has all children replaced. done gets nil when they are, or why not.
func (sup *supervisor) restart(done chan<- error) {
	sup.replacement.waiters = append(sup.replacement.waiters, done)
	sup.lastWanted.Store(sup.ticks(time.Now()))
	sup.replaceAll(restarted)
}

// replaceAll has all children replaced that there are, and one started where none runs.
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
		in.pendingExit.due = now // it need not be known what it was good for
		sup.classifyExit(in, now)
	}
	if m := in.machine; m.state == Draining && m.drainReason == goIdle && why == restarted {
		sup.cancelDrain(in, now, requested)
	}
	switch m := in.machine; {
	case m.state == Waiting, in.sleeps() && why == restarted:
		in.forRestart = true
		sup.step(in, now, requested)
	case in.sleeps(): // the next start will do
	case m.state == Broken:
		in.forRestart = true
		sup.step(in, now, breakerClosed)
	case m.state.takesRequests():
		sup.markForReplacement(in, why)
	case m.drainReason == replace:
		in.forRestart = true
	}
}

// renew goes on with what there is to replace.
func (sup *supervisor) rollingRestart(now time.Time) {
	rep := &sup.replacement
	if sup.creation != nil {
		return
	}
	if len(rep.waiters) > 0 && !slices.ContainsFunc(sup.instances, func(in *instance) bool { return in.predatesRestart(rep) || sup.isUndecided(in, now) }) {
		sup.reportRestart(nil) // others may have to be replaced by now, for other reasons
	}
	if i := slices.IndexFunc(sup.instances, (*instance).inTransition); i >= 0 {
		if in := sup.instances[i]; in.stuck && len(rep.waiters) > 0 {
			sup.failRestart(in.errStuck())
		}
		return
	}
	i := slices.IndexFunc(sup.instances, func(in *instance) bool { return in.replaceReason != "" && in.child != nil && in.machine.state.takesRequests() })
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
		sup.again = true // their number first
		return
	}
	sup.replace(sup.instances[i], now)
}

// isOld reports whether there is a child that was started before the restart was asked for.
func (in *instance) predatesRestart(rep *replacement) bool {
	return in.child != nil && in.generation < rep.generation
}

// awaits reports whether it is not known yet what comes of a child that a restart has
// started where none ran.
func (sup *supervisor) isUndecided(in *instance, now time.Time) bool {
	m := in.machine
	if !in.forRestart {
		return false
	}
	if in.child != nil && !in.launched {
		return true
	}
	if outlasted := m.startedAt.Add(probation); in.child != nil && m.state.takesRequests() && sup.plan.Ready == nil && now.Before(outlasted) {
		sup.wakeAt(outlasted)
	} else if in.child != nil && (m.state == Ready || m.state == Serving || m.state.takesRequests() && sup.plan.Ready == nil) {
		in.forRestart = false
	}
	return in.forRestart
}

// moves reports whether an instance is on its way out, or is to replace another.
func (in *instance) inTransition() bool {
	m := in.machine.state
	return in.replaces != nil || m == Draining || m == Ending || m == Closed
}

func (sup *supervisor) replace(in *instance, now time.Time) {
	attrs := []any{
		"instance", in.socket.Addr, "pid", in.child.PID(), "reason", string(in.replaceReason),
		"answered", in.stats.Load().answers.Load(), "lived", now.Sub(in.machine.startedAt).Round(time.Second),
	}
	if used := in.memory.used.Load(); used > 0 {
		attrs = append(attrs, "memory", humanize.IBytes(used))
	}
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
			sup.step(successor, now, closed) // it needs none any more
		default:
			successor.replaces = in
			sup.spawn(successor, now)
		}
	})
}

// giveUpRenewal lets the old child go on. successor is nil if there is none.
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
		sup.log.Error("replacing a process failed; the old one goes on", "error", err.Error(), "next_in", rep.retryAt.Sub(now))
		return
	}
	sup.failRestart(fmt.Errorf("%w; what ran before goes on", err))
}

// failRestart tells who waits for the restart why it has failed.
func (sup *supervisor) failRestart(err error) {
	sup.log.Error("the restart failed", "error", err.Error())
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

// tellRestart tells who waits for the restart what has come of it.
func (sup *supervisor) reportRestart(err error) {
	for _, done := range sup.replacement.waiters {
		done <- err
	}
	sup.replacement.waiters = nil
}

// keepPredecessor has the child go on for which s was started, if that still is drained.
func (sup *supervisor) keepPredecessor(in *instance) bool {
	for _, old := range sup.instances {
		if old.successor == in && old.machine.state == Draining {
			old.successor = nil
			sup.cancelDrain(old, time.Now(), drainCancelled)
			return true
		}
	}
	return false
}

// errClosed is what a restart comes to that was overtaken by Close.
var errClosed = errors.New("restart: the processes are being ended")

// Restart replaces all instances, one after the other: the new process is ready before
// the old one gets no more requests, and that one ends when those it has are done. It
// returns when all are replaced, or why they could not be: then what ran before goes on.
// If ctx ends, it goes on without being waited for. Where nothing runs because too many
// processes had ended, one is started.
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

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
	enoughRequests reason = "max_requests"
	lifetimeOver   reason = "max_lifetime"
	usesMuch       reason = "memory_soft"
	takesLong      reason = "max_time"
	reconfigured   reason = "configuration"
	doesNotEnd     reason = "does_not_end"
)

// renewal is the replacement of children that serve. There is one at a time. The new one
// has a socket of its own, so that an address always means one line of children, and is
// ready before the old one is drained; where it cannot have one, because the port is
// fixed or there is no memory for both, the old one is drained and ended first.
type renewal struct {
	generation int            // how often a restart was asked for
	waiting    []chan<- error // for the restart
	failures   int            // in a row
	again      time.Time      // after one that failed; zero: it did not
}

const (
	firstRetry = 10 * time.Second
	mostRetry  = 10 * time.Minute
)

// outdate has the child of an instance replaced.
func (k *keeper) outdate(s *slot, why reason) {
	if s.outdated != "" || !s.machine.state.works() || s.replaces != nil {
		return
	}
	s.outdated = why
	k.changed = true
}

// restart has all children replaced. done gets nil when they are, or why not.
func (k *keeper) restart(done chan<- error) {
	k.renewal.waiting = append(k.renewal.waiting, done)
	k.wanted.Store(k.ticks(time.Now()))
	k.replaceAll(restarted)
}

// replaceAll has all children replaced that there are, and one started where none runs.
func (k *keeper) replaceAll(why reason) {
	now := time.Now()
	k.renewal.generation++
	k.renewal.again, k.renewal.failures = time.Time{}, 0
	k.budget.restore()
	for _, s := range k.slots {
		k.replaceOne(s, now, why)
	}
	k.changed = true
}

func (k *keeper) replaceOne(s *slot, now time.Time, why reason) {
	if s.death != nil && !s.death.judged {
		s.death.due = now // it need not be known what it was good for
		k.judge(s, now)
	}
	if m := s.machine; m.state == Draining && m.aim == sleep && why == restarted {
		k.undrain(s, now, woken)
	}
	switch m := s.machine; {
	case m.state == Waiting, s.rests() && why == restarted:
		s.awaited = true
		k.step(s, now, woken)
	case s.rests(): // the next start will do
	case m.state == Broken:
		s.awaited = true
		k.step(s, now, restored)
	case m.state.works():
		k.outdate(s, why)
	case m.aim == renew:
		s.awaited = true
	}
}

// renew goes on with what there is to replace.
func (k *keeper) renew(now time.Time) {
	r := &k.renewal
	if k.opening != nil {
		return
	}
	if len(r.waiting) > 0 && !slices.ContainsFunc(k.slots, func(s *slot) bool { return s.isOld(r) || k.awaits(s, now) }) {
		k.tellRestart(nil) // others may have to be replaced by now, for other reasons
	}
	if i := slices.IndexFunc(k.slots, (*slot).moves); i >= 0 {
		if s := k.slots[i]; s.stuck && len(r.waiting) > 0 {
			k.failRestart(s.errStuck())
		}
		return
	}
	i := slices.IndexFunc(k.slots, func(s *slot) bool { return s.outdated != "" && s.child != nil && s.machine.state.works() })
	if i < 0 {
		if !slices.ContainsFunc(k.slots, func(s *slot) bool { return k.awaits(s, now) }) {
			k.endRestart(nil)
		}
		return
	}
	if now.Before(r.again) {
		k.at(r.again)
		return
	}
	if k.scale.pending {
		k.changed = true // their number first
		return
	}
	k.replace(k.slots[i], now)
}

// isOld reports whether there is a child that was started before the restart was asked for.
func (s *slot) isOld(r *renewal) bool { return s.child != nil && s.generation < r.generation }

// awaits reports whether it is not known yet what comes of a child that a restart has
// started where none ran.
func (k *keeper) awaits(s *slot, now time.Time) bool {
	m := s.machine
	if !s.awaited {
		return false
	}
	if s.child != nil && !s.launched {
		return true
	}
	if outlasted := m.begun.Add(probation); s.child != nil && m.state.works() && k.plan.Ready == nil && now.Before(outlasted) {
		k.at(outlasted)
	} else if s.child != nil && (m.state == Ready || m.state == Serving || m.state.works() && k.plan.Ready == nil) {
		s.awaited = false
	}
	return s.awaited
}

// moves reports whether an instance is on its way out, or is to replace another.
func (s *slot) moves() bool {
	m := s.machine.state
	return s.replaces != nil || m == Draining || m == Ending || m == Closed
}

func (k *keeper) replace(s *slot, now time.Time) {
	attrs := []any{
		"instance", s.socket.addr, "pid", s.child.pid(), "reason", string(s.outdated),
		"answered", s.merit.Load().answers.Load(), "lived", now.Sub(s.machine.begun).Round(time.Second),
	}
	if used := s.memory.used.Load(); used > 0 {
		attrs = append(attrs, "memory", humanize.IBytes(used))
	}
	k.log.Info("a process is replaced", attrs...)
	if k.plan.hasFixedPort() || !k.hasRoom() {
		s.awaited = s.outdated == restarted
		k.drain(s, now, renew)
		return
	}
	k.openInstance(func(successor *slot, err error) {
		switch now := time.Now(); {
		case err != nil:
			k.tally.note(&Exit{Err: err.Error()}, false)
			k.giveUpRenewal(nil, fmt.Errorf("a socket for the new process: %w", err))
		case s.outdated == "" || s.child == nil || !s.machine.state.works():
			k.step(successor, now, closed) // it needs none any more
		default:
			successor.replaces = s
			k.spawn(successor, now)
		}
	})
}

// giveUpRenewal lets the old child go on. successor is nil if there is none.
func (k *keeper) giveUpRenewal(successor *slot, err error) {
	now := time.Now()
	r := &k.renewal
	r.failures++
	r.again = now.Add(doubled(firstRetry, r.failures-1, mostRetry))
	if successor != nil {
		successor.replaces = nil
		k.step(successor, now, closed)
	}
	if len(r.waiting) == 0 {
		k.log.Error("replacing a process failed; the old one goes on", "error", err.Error(), "next_in", r.again.Sub(now))
		return
	}
	k.failRestart(fmt.Errorf("%w; what ran before goes on", err))
}

// failRestart tells who waits for the restart why it has failed.
func (k *keeper) failRestart(err error) {
	k.log.Error("the restart failed", "error", err.Error())
	for _, s := range k.slots {
		s.awaited, s.generation = false, k.renewal.generation
		if s.outdated == restarted {
			s.outdated = ""
		}
	}
	k.endRestart(fmt.Errorf("restart: %w", err))
}

func (k *keeper) endRestart(err error) {
	k.tellRestart(err)
	k.renewal.failures, k.renewal.again = 0, time.Time{}
}

// tellRestart tells who waits for the restart what has come of it.
func (k *keeper) tellRestart(err error) {
	for _, done := range k.renewal.waiting {
		done <- err
	}
	k.renewal.waiting = nil
}

// keepPredecessor has the child go on for which s was started, if that still is drained.
func (k *keeper) keepPredecessor(s *slot) bool {
	for _, old := range k.slots {
		if old.successor == s && old.machine.state == Draining {
			old.successor = nil
			k.undrain(old, time.Now(), kept)
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
	k := g.keeper
	select {
	case k.asks <- func() { k.restart(done) }:
	case <-k.done:
		return errClosed
	}
	select {
	case err := <-done:
		return err
	case <-k.done:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

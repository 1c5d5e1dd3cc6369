package supervise

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	// judgement is how long a child that has died is given to turn out to have served: its
	// last answer may be on its way to whoever tells us. It is less than the pause after one
	// that did not serve, and costs nothing.
	judgement = 500 * time.Millisecond
	// inquest is how long it is waited for those whose connections have ended with it.
	inquest = 100 * time.Millisecond
)

// cause is why we ended a child. It is what the log says.
type cause string

const (
	closing      cause = "it was told to end"
	notReady     cause = "it was not ready within the start timeout"
	tooLarge     cause = "it used more memory than the hard limit"
	groupLarge   cause = "all together used more memory than there is for them, and it the most"
	answersNone  cause = "it answered nobody"
	drainedLong  cause = "its requests did not finish while it was drained"
	kernelKilled cause = "the kernel killed it for want of memory"
)

// death is the end of a child.
type death struct {
	exit    Exit
	due     time.Time // when it is looked into
	judged  bool      // what follows is decided
	planned bool      // it was to end
	clean   bool      // see cleanExit; known when it is judged
}

// bury takes note of a child's end.
func (k *keeper) bury(s *slot, now time.Time, exit Exit) {
	k.unwatch(s)
	d := &death{exit: exit, due: exit.Time.Add(judgement), planned: s.machine.state == Ending}
	d.exit.Lived, d.exit.Cause = exit.Time.Sub(s.machine.begun), s.cause
	if s.cause == groupLarge {
		k.pressure.settled = now.Add(2 * lookEvery) // until then samples may be of before
	}
	if d.exit.OutOfMemory && s.cause == "" {
		d.exit.Cause = kernelKilled
	}
	s.child, s.death = nil, d
	s.endBy, s.stuck = time.Time{}, false
	if exit.Err != "" {
		k.begins(errors.New(exit.Err))
	}
	if s.merit.Load().answers.Load() == 0 && !d.planned {
		k.come(fmt.Errorf("ended at once: %s (what it printed is in the log%s)", d.exit.how(), d.exit.hint()))
	} else {
		k.come(nil)
	}
	k.changed = true
}

// judge decides what follows a death, as soon as it is known whether the child had served.
func (k *keeper) judge(s *slot, now time.Time) {
	d := s.death
	proven := s.merit.Load().answers.Load() > 0
	switch {
	case d.judged:
	case proven || !s.machine.state.unproven() || !now.Before(d.due):
		d.judged = true
		d.due = now
		if d.exit.Err == "" && !d.planned {
			d.due = now.Add(inquest)
		}
		d.exit.Served = proven
		d.clean = !d.planned && d.exit.isClean()
		k.tally.note(&d.exit, d.planned)
		k.follow(s)
	}
	if now.Before(d.due) {
		k.at(d.due)
		return
	}
	k.inquire(s, now)
}

// follow has a death happen to the instance.
func (k *keeper) follow(s *slot) {
	before := s.machine.state
	if s.afterClean = s.death.clean; s.afterClean {
		k.step(s, s.death.exit.Time, finished)
	} else {
		k.step(s, s.death.exit.Time, died)
	}
	k.endDrain(s)
	k.changed = true
	err := fmt.Errorf("the new process %s", s.death.exit.ended())
	switch {
	case s.replaces != nil:
		k.giveUpRenewal(s, err)
	case before.unproven() && k.keepPredecessor(s):
		k.giveUpRenewal(s, err)
	case s.awaited && before != Draining && before != Ending:
		k.failRestart(err)
	}
	switch {
	case s.machine.state == Asleep && k.plan.Ready == nil:
		k.expose(s) // what connects waits for the child that is started then
	case s.machine.state != Closed && k.plan.Ready != nil && s.exposed:
		k.conceal(s) // until the next is ready
	}
}

// inquire tells of a death, with those it has hit.
func (k *keeper) inquire(s *slot, now time.Time) {
	d := s.death
	s.death = nil
	k.changed = true
	e := d.exit
	if d.planned {
		k.log.Info("a process that is not needed any more has ended", "instance", s.socket.addr, "pid", e.PID, "exit", e.how(), "lived", e.Lived.Round(time.Millisecond))
		return
	}
	e.InFlight = s.losses.take(e.Time)
	s.lastExit = &e
	if d.clean {
		k.cleanExits.tell(k, s, &e, now)
		k.concurrency.noteClean(k, s)
		if len(e.InFlight) > 0 {
			k.suspect(e, now)
		}
		return
	}
	what := k.storm.note(e)
	if what != nothing || !k.storm.on {
		attrs := []any{"exit", e.how(), "instance", s.socket.addr, "pid", e.PID, "lived", e.Lived.Round(time.Millisecond), "served", e.Served}
		if len(e.Lines) > 0 {
			attrs = append(attrs, "last_words", e.Lines)
		}
		attrs = append(attrs, "state", s.machine.state.String())
		if !s.machine.next.IsZero() {
			attrs = append(attrs, "next_in", max(s.machine.next.Sub(now), 0).Round(time.Millisecond))
		}
		if len(e.InFlight) > 0 {
			attrs = append(attrs, slog.Any("in_flight", requests(e.InFlight)))
		}
		k.log.Error("the command has ended", attrs...)
	}
	k.tellStorm(what, now)
	if e.Cause == "" || e.Cause == tooLarge || e.Cause == kernelKilled {
		k.suspect(e, now)
	}
}

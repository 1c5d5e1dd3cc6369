package supervise

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
)

const (
	// A crash loop begins with crashLoopExits within crashLoopWindow, and ends when there was
	// none in crashLoopWindow and all children are stable. It is logged once in that time.
	crashLoopExits  = 3
	crashLoopWindow = time.Minute

	// keptExits is how many exits are kept for the log and the snapshot.
	keptExits = 5
)

// crashLoop detects that children exit again and again. Single exits are not logged then.
type crashLoop struct {
	exits  []Exit      // the last ones, the oldest first
	recent []time.Time // exits within crashLoopWindow, in the order in which they were reported
	active bool
	began  time.Time // when the first of its exits was; of the last loop, if none is active
	count  int       // exits in the loop
	logged time.Time
}

// crashLoopEvent is what is to be logged of a crash loop.
type crashLoopEvent uint8

const (
	noEvent crashLoopEvent = iota
	loopBegins
	loopContinues
	loopEnds
)

// note takes an exit.
func (l *crashLoop) note(e Exit) crashLoopEvent {
	if len(l.exits) == keptExits {
		l.exits = slices.Delete(l.exits, 0, 1)
	}
	l.exits = append(l.exits, e)
	l.prune(e.Time)
	l.recent = append(l.recent, e.Time)
	if l.active {
		l.count++
		return noEvent
	}
	if len(l.recent) < crashLoopExits {
		return noEvent
	}
	l.active, l.began, l.logged, l.count = true, l.recent[0], e.Time, len(l.recent)
	return loopBegins
}

// tick is called at nextTick, and may be called at any time. stable says that all instances
// are, see isStable.
func (l *crashLoop) tick(now time.Time, stable bool) crashLoopEvent {
	l.prune(now)
	switch {
	case !l.active:
		return noEvent
	case stable && len(l.recent) == 0:
		l.active = false
		return loopEnds
	case now.Sub(l.logged) < crashLoopWindow:
		return noEvent
	}
	l.logged = now
	return loopContinues
}

// nextTick is when tick is due; zero: never.
func (l *crashLoop) nextTick() time.Time {
	if !l.active {
		return time.Time{}
	}
	due := l.logged.Add(crashLoopWindow)
	if len(l.recent) == 0 {
		return due
	}
	if end := slices.MaxFunc(l.recent, time.Time.Compare).Add(crashLoopWindow); end.Before(due) {
		return end
	}
	return due
}

func (l *crashLoop) prune(now time.Time) {
	l.recent = slices.DeleteFunc(l.recent, func(t time.Time) bool { return now.Sub(t) >= crashLoopWindow })
}

// checkCrashLoop logs that a crash loop goes on, or has ended.
func (sup *supervisor) checkCrashLoop(now time.Time) {
	unstable := slices.ContainsFunc(sup.instances, func(in *instance) bool { return !in.isStable(now) })
	sup.logCrashLoop(sup.crashLoop.tick(now, !unstable), now)
	if due := sup.crashLoop.nextTick(); !due.IsZero() {
		sup.wakeAt(due)
	}
}

// isStable reports whether nothing speaks for a crash loop: the child is ready or has run for
// long, or none is to run.
func (in *instance) isStable(now time.Time) bool {
	m := in.machine
	if in.child == nil {
		return m.state == stateAsleep || in.noRoom || m.state == stateBroken && m.next.IsZero() // another instance is tried
	}
	return !m.state.isUnproven() || m.state == stateReady || in.launched && now.Sub(m.startedAt) >= crashLoopWindow
}

func (sup *supervisor) logCrashLoop(what crashLoopEvent, now time.Time) {
	text, level := "", slog.LevelError
	switch what {
	case noEvent:
		return
	case loopBegins:
		text = "a crash loop begins: the command ends again and again"
	case loopContinues:
		text = "the crash loop goes on: the command ends again and again"
	case loopEnds:
		text, level = "the crash loop is over", slog.LevelWarn
	}
	sup.tellCrashLoop(what)
	l := &sup.crashLoop
	exits := make([]string, len(l.exits))
	for i := range l.exits {
		exits[i] = l.exits[i].String()
	}
	states := make([]string, len(sup.instances))
	for i, in := range sup.instances {
		states[i] = in.machine.state.String()
	}
	sup.log.LogAttrs(context.Background(), level, text,
		slog.String("state", strings.Join(states, " ")), slog.Int("ended", l.count), slog.Int("ended_last_minute", len(l.recent)),
		slog.Duration("since", now.Sub(l.began).Round(time.Second)), slog.Int("budget_left", sup.budget.left(now)), slog.Any("last", exits), slog.String("advice", loopAdvice(what)))
}

func loopAdvice(what crashLoopEvent) string {
	if what == loopEnds {
		return "none"
	}
	return "mend what ends the command: the last exits have its output"
}

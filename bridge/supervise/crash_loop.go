package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
)

const (
	// stormDeaths within stormWindow are a storm; no death within it, and something that
	// runs, are its end. It is told of once in stormWindow.
	crashLoopExits  = 3
	crashLoopWindow = time.Minute

	// keptExits is how many ends are remembered.
	keptExits = 5
)

// Exit is how a child ended, or why it was not started.
type Exit struct {
	Time   time.Time
	PID    int           // 0: it was not started
	Status int           // exit status; -1: it was killed by Signal, or not started
	Signal string        // such as "killed"; "" if it exited
	Err    string        // why it could not be started; "" if it was
	Lived  time.Duration // since its start
	Served bool          // it has answered a request
	Lines  []string      // the last it wrote

	Cause       cause     // why we ended it; "" if we did not
	OutOfMemory bool      // the kernel had no memory for it
	InFlight    []Request // the requests whose connections ended with it, the oldest first
}

func newExit(e *proc.Exit) Exit {
	return Exit{Time: e.Time, PID: e.PID, Status: e.Status, Signal: e.Signal, Err: e.Err, Lines: e.Lines, OutOfMemory: e.OutOfMemory}
}

// how is the exit in a few words.
func (e *Exit) how() string {
	var text string
	switch {
	case e.Err != "":
		return "could not be started: " + e.Err
	case e.Signal != "":
		text = "signal: " + e.Signal
	default:
		text = fmt.Sprintf("exit status %d", e.Status)
	}
	if e.Cause != "" {
		text += ", because " + string(e.Cause)
	}
	return text
}

// hint says what may be wrong with a program that ends at once.
func (e *Exit) hint() string {
	if e.Status == 0 && e.Signal == "" {
		return "; it must stay in the foreground: did it put itself into the background?"
	}
	return ""
}

// ended is how, as the end of a sentence.
func (e *Exit) ended() string {
	if e.Err != "" {
		return e.how()
	}
	return "ended: " + e.how()
}

// String is all of it in a line.
func (e *Exit) String() string {
	var b strings.Builder
	b.WriteString(e.how())
	if e.Err == "" {
		fmt.Fprintf(&b, " after %v", e.Lived.Round(time.Millisecond))
		if !e.Served {
			b.WriteString(", served nothing")
		}
	}
	if len(e.Lines) > 0 {
		fmt.Fprintf(&b, ", last words %q", e.Lines)
	}
	return b.String()
}

// storm notices that children die in numbers, and says when that is worth telling.
type crashLoop struct {
	exits  []Exit      // the last ones, the oldest first
	recent []time.Time // deaths within stormWindow, in the order in which they were looked into
	active bool
	began  time.Time // when the first of its deaths was; of the last one, if it is over
	count  int       // in it
	logged time.Time
}

// news is what is to be told of a storm.
type crashLoopEvent uint8

const (
	noEvent crashLoopEvent = iota
	loopStarted
	loopContinued
	loopEnded
)

// note takes a death.
func (s *crashLoop) note(e Exit) crashLoopEvent {
	if len(s.exits) == keptExits {
		s.exits = append(s.exits[:0], s.exits[1:]...)
	}
	s.exits = append(s.exits, e)
	s.prune(e.Time)
	s.recent = append(s.recent, e.Time)
	if s.active {
		s.count++
		return noEvent
	}
	if len(s.recent) < crashLoopExits {
		return noEvent
	}
	s.active, s.began, s.logged, s.count = true, s.recent[0], e.Time, len(s.recent)
	return loopStarted
}

// tick is called at due, and may be called at any time. calm says that nothing speaks
// against any child.
func (s *crashLoop) tick(now time.Time, calm bool) crashLoopEvent {
	s.prune(now)
	switch {
	case !s.active:
		return noEvent
	case calm && len(s.recent) == 0:
		s.active = false
		return loopEnded
	case now.Sub(s.logged) < crashLoopWindow:
		return noEvent
	}
	s.logged = now
	return loopContinued
}

// due is when tick is wanted; zero: never.
func (s *crashLoop) nextTick() time.Time {
	if !s.active {
		return time.Time{}
	}
	due := s.logged.Add(crashLoopWindow)
	if len(s.recent) == 0 {
		return due
	}
	if end := slices.MaxFunc(s.recent, time.Time.Compare).Add(crashLoopWindow); end.Before(due) {
		return end
	}
	return due
}

func (s *crashLoop) prune(now time.Time) {
	s.recent = slices.DeleteFunc(s.recent, func(t time.Time) bool { return now.Sub(t) >= crashLoopWindow })
}

// tell tells what there is to tell of a storm that goes on or ends.
func (sup *supervisor) checkCrashLoop(now time.Time) {
	restless := slices.ContainsFunc(sup.instances, func(in *instance) bool { return !in.isStable(now) })
	sup.logCrashLoop(sup.crashLoop.tick(now, !restless), now)
	if due := sup.crashLoop.nextTick(); !due.IsZero() {
		sup.wakeAt(due)
	}
}

// isCalm reports whether nothing speaks against an instance: its child is of use, or
// lives.
func (in *instance) isStable(now time.Time) bool {
	m := in.machine
	if in.child == nil {
		return m.state == Asleep || in.noRoom || m.state == Broken && m.next.IsZero() // another one is tried for it
	}
	return !m.state.isUnproven() || m.state == Ready || in.launched && now.Sub(m.startedAt) >= crashLoopWindow
}

// tellStorm logs news of a storm.
func (sup *supervisor) logCrashLoop(what crashLoopEvent, now time.Time) {
	text, level := "", slog.LevelError
	switch what {
	case noEvent:
		return
	case loopStarted:
		text = "a storm begins: the command ends again and again"
	case loopContinued:
		text = "the storm goes on: the command ends again and again"
	case loopEnded:
		text, level = "the storm is over", slog.LevelWarn
	}
	exits := make([]string, len(sup.crashLoop.exits))
	for i := range sup.crashLoop.exits {
		exits[i] = sup.crashLoop.exits[i].String()
	}
	states := make([]string, len(sup.instances))
	for i, in := range sup.instances {
		states[i] = in.machine.state.String()
	}
	sup.log.LogAttrs(context.Background(), level, text,
		slog.String("state", strings.Join(states, " ")), slog.Int("ended", sup.crashLoop.count), slog.Int("ended_last_minute", len(sup.crashLoop.recent)),
		slog.Duration("since", now.Sub(sup.crashLoop.began).Round(time.Second)), slog.Int("budget_left", sup.budget.left(now)), slog.Any("last", exits))
}

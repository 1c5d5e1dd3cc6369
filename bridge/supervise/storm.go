package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// stormDeaths within stormWindow are a storm; no death within it, and something that
	// runs, are its end. It is told of once in stormWindow.
	stormDeaths = 3
	stormWindow = time.Minute

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

// newExit is the end of a process that was waited for.
func newExit(s *os.ProcessState) Exit {
	e := Exit{PID: s.Pid(), Status: s.ExitCode()}
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal = ws.Signal().String()
		if ws.CoreDump() {
			e.Signal += " (core dumped)"
		}
	}
	return e
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
type storm struct {
	exits  []Exit      // the last ones, the oldest first
	recent []time.Time // deaths within stormWindow, in the order in which they were looked into
	on     bool
	began  time.Time // when the first of its deaths was; of the last one, if it is over
	deaths int       // in it
	told   time.Time
}

// news is what is to be told of a storm.
type news uint8

const (
	nothing news = iota
	begins
	goesOn
	ends
)

// note takes a death.
func (s *storm) note(e Exit) news {
	if len(s.exits) == keptExits {
		s.exits = append(s.exits[:0], s.exits[1:]...)
	}
	s.exits = append(s.exits, e)
	s.forget(e.Time)
	s.recent = append(s.recent, e.Time)
	if s.on {
		s.deaths++
		return nothing
	}
	if len(s.recent) < stormDeaths {
		return nothing
	}
	s.on, s.began, s.told, s.deaths = true, s.recent[0], e.Time, len(s.recent)
	return begins
}

// tick is called at due, and may be called at any time. calm says that nothing speaks
// against any child.
func (s *storm) tick(now time.Time, calm bool) news {
	s.forget(now)
	switch {
	case !s.on:
		return nothing
	case calm && len(s.recent) == 0:
		s.on = false
		return ends
	case now.Sub(s.told) < stormWindow:
		return nothing
	}
	s.told = now
	return goesOn
}

// due is when tick is wanted; zero: never.
func (s *storm) due() time.Time {
	if !s.on {
		return time.Time{}
	}
	due := s.told.Add(stormWindow)
	if len(s.recent) == 0 {
		return due
	}
	if end := slices.MaxFunc(s.recent, time.Time.Compare).Add(stormWindow); end.Before(due) {
		return end
	}
	return due
}

func (s *storm) forget(now time.Time) {
	s.recent = slices.DeleteFunc(s.recent, func(t time.Time) bool { return now.Sub(t) >= stormWindow })
}

// tell tells what there is to tell of a storm that goes on or ends.
func (k *keeper) tell(now time.Time) {
	restless := slices.ContainsFunc(k.slots, func(s *slot) bool { return !s.isCalm(now) })
	k.tellStorm(k.storm.tick(now, !restless), now)
	if due := k.storm.due(); !due.IsZero() {
		k.at(due)
	}
}

// isCalm reports whether nothing speaks against an instance: its child is of use, or
// lives.
func (s *slot) isCalm(now time.Time) bool {
	m := s.machine
	if s.child == nil {
		return m.state == Asleep || s.roomless || m.state == Broken && m.next.IsZero() // another one is tried for it
	}
	return !m.state.unproven() || m.state == Ready || s.launched && now.Sub(m.begun) >= stormWindow
}

// tellStorm logs news of a storm.
func (k *keeper) tellStorm(what news, now time.Time) {
	text, level := "", slog.LevelError
	switch what {
	case nothing:
		return
	case begins:
		text = "a storm begins: the command ends again and again"
	case goesOn:
		text = "the storm goes on: the command ends again and again"
	case ends:
		text, level = "the storm is over", slog.LevelWarn
	}
	exits := make([]string, len(k.storm.exits))
	for i := range k.storm.exits {
		exits[i] = k.storm.exits[i].String()
	}
	states := make([]string, len(k.slots))
	for i, s := range k.slots {
		states[i] = s.machine.state.String()
	}
	k.log.LogAttrs(context.Background(), level, text,
		slog.String("state", strings.Join(states, " ")), slog.Int("ended", k.storm.deaths), slog.Int("ended_last_minute", len(k.storm.recent)),
		slog.Duration("since", now.Sub(k.storm.began).Round(time.Second)), slog.Int("budget_left", k.budget.left(now)), slog.Any("last", exits))
}

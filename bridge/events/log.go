package events

import (
	"slices"
	"sync"
	"time"
)

const (
	// Kept is how long an event is remembered.
	Kept = time.Hour
	// Most is how many are.
	Most = 200

	// again is how soon after an event the same one must happen to be counted with it, and
	// lookBack how many events there may be in between.
	again    = time.Minute
	lookBack = 8

	// maxLines is how many of the last lines of output an event has.
	maxLines = 10
)

// Kind is a kind of event.
type Kind string

// The kinds.
const (
	Stall         Kind = "stall"           // the application answers no request
	Answers       Kind = "answers"         // it answers again
	Start         Kind = "start"           // a process was started
	End           Kind = "end"             // a process has ended as it should
	Crash         Kind = "crash"           // a process has ended otherwise
	CrashLoop     Kind = "crash_loop"      // processes end again and again
	CrashLoopOver Kind = "crash_loop_over" // that is over
	GivenUp       Kind = "given_up"        // no process is started for some time
	Replacement   Kind = "replacement"     // a process is replaced
	Down          Kind = "down"            // an instance cannot be connected to
	Up            Kind = "up"              // it can be connected to again
	Full          Kind = "full"            // an instance holds fewer requests than it has workers
	NotFull       Kind = "not_full"        // it is trusted with all its workers again
	Reload        Kind = "reload"          // the settings were changed
	Fleet         Kind = "fleet"           // what the gate may use, beside others, depends on something else now
)

// Event is something that has happened.
type Event struct {
	Time     time.Time `json:"time"` // the last time
	Kind     Kind      `json:"kind"`
	Text     string    `json:"text"`
	Instance string    `json:"instance,omitempty"` // "": the whole application
	PID      int       `json:"pid,omitempty"`
	Lines    []string  `json:"lines,omitempty"` // the last lines of output
	Count    int       `json:"count"`           // how often it has happened since First
	First    time.Time `json:"first"`
}

// Log remembers events. Its methods may be called concurrently, and do not block. The zero value is
// ready for use; nil remembers nothing.
type Log struct {
	mu     sync.Mutex
	events []Event // the oldest first
}

// Add adds e, which has happened now.
func (l *Log) Add(e Event) {
	if l == nil {
		return
	}
	e.Time = time.Now()
	e.First, e.Count = e.Time, 1
	e.Lines = slices.Clone(e.Lines[max(0, len(e.Lines)-maxLines):])
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(e.Time)
	if i := l.last(&e); i >= 0 {
		e.First, e.Count = l.events[i].First, l.events[i].Count+1
		l.events = slices.Delete(l.events, i, i+1)
	}
	if len(l.events) == Most {
		l.events = slices.Delete(l.events, 0, 1)
	}
	l.events = append(l.events, e)
}

// last returns the index of the last event that e repeats, -1 if there is none.
func (l *Log) last(e *Event) int {
	for i := len(l.events) - 1; i >= max(0, len(l.events)-lookBack); i-- {
		o := &l.events[i]
		if o.Kind == e.Kind && o.Instance == e.Instance && o.Text == e.Text && e.Time.Sub(o.Time) < again {
			return i
		}
	}
	return -1
}

func (l *Log) forget(now time.Time) {
	l.events = slices.DeleteFunc(l.events, func(e Event) bool { return now.Sub(e.Time) > Kept })
}

// All returns the events that are remembered, the latest first.
func (l *Log) All() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(time.Now())
	all := slices.Clone(l.events)
	slices.Reverse(all)
	return all
}

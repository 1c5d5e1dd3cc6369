package supervise

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
)

// Exit is how a child ended, or why it could not be started.
type Exit struct {
	Time   time.Time
	PID    int           // 0: it was not started
	Status int           // exit status; -1: killed by Signal, or not started
	Signal string        // such as "killed"; "" if the child exited
	Err    string        // why the child could not be started; "" if it was
	Lived  time.Duration // since the start
	Served bool          // the child has answered a request
	Lines  []string      // the last lines of output

	Cause       Cause     // why the supervisor ended the child; "" if it did not
	OutOfMemory bool      // the kernel had no memory for the child
	InFlight    []Request // the requests whose connections ended with it, the oldest first
}

// newExit is the part of an Exit that a process has by itself.
func newExit(e *proc.Exit) Exit {
	return Exit{Time: e.Time, PID: e.PID, Status: e.Status, Signal: e.Signal, Err: e.Err, Lines: e.Lines, OutOfMemory: e.OutOfMemory}
}

// how describes the exit in a few words.
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

// hint says why a program may end at once; "" if that is unknown.
func (e *Exit) hint(mode SocketMode) string {
	inUse := func(line string) bool { return strings.Contains(strings.ToLower(line), "address already in use") }
	switch {
	case e.Status == 0 && e.Signal == "":
		return "; it must stay in the foreground: did it put itself into the background?"
	case mode == SocketPort && slices.ContainsFunc(e.Lines, inUse):
		return "; its port is held for it, and it must set SO_REUSEADDR to listen there, as servers do: can it listen on a unix socket?"
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

// String describes the exit in a line.
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
		fmt.Fprintf(&b, ", last lines %q", e.Lines)
	}
	return b.String()
}

// isClean reports whether the child has served, and then exited by itself with status 0: it has
// done its work. gitweb exits so after an error page, CGI::Fast and PHP after a number of
// requests, some programs after each. It is no sign of a fault.
func (e *Exit) isClean() bool {
	return e.Served && e.Status == 0 && e.Signal == "" && e.Err == "" && e.Cause == ""
}

// Cause is why the supervisor ended a child, in the words of the log.
type Cause string

const (
	closing        Cause = "it was told to end"
	notReady       Cause = "it was not ready within the start timeout"
	overHardLimit  Cause = "it used more memory than the hard limit"
	overTotalLimit Cause = "all together used more memory than there is for them, and it the most"
	answersNothing Cause = "it answered no request"
	drainTimedOut  Cause = "its requests did not finish while it was drained"
	oomKilled      Cause = "the kernel killed it because there was no memory"
)

// Kinds of exits, for counters.
const (
	exitPlanned    = "planned"     // told to end, without requests
	exitClean      = "clean"       // see Exit.isClean
	exitExited     = "exited"      // by itself otherwise
	exitSignal     = "signal"      // by a signal that the supervisor did not send
	exitNotStarted = "not_started" // could not be started
	exitNotReady   = "not_ready"   // ended because it was not ready in time
	exitMemory     = "memory"      // killed for its memory, by the supervisor or the kernel
	exitHung       = "hung"        // ended because it answered no request, or its requests did not finish
)

var exitKinds = [...]string{exitPlanned, exitClean, exitExited, exitSignal, exitNotStarted, exitNotReady, exitMemory, exitHung}

// kind is the kind of the exit. planned says that the child was to end.
func (e *Exit) kind(planned bool) string {
	switch e.Cause {
	case notReady:
		return exitNotReady
	case overHardLimit, overTotalLimit, oomKilled:
		return exitMemory
	case answersNothing, drainTimedOut:
		return exitHung
	}
	switch {
	case planned:
		return exitPlanned
	case e.Err != "":
		return exitNotStarted
	case e.Signal != "":
		return exitSignal
	case e.isClean():
		return exitClean
	}
	return exitExited
}

// MarshalJSON writes an Exit for people.
func (e Exit) MarshalJSON() ([]byte, error) {
	inFlight, lines := append([]Request{}, e.InFlight...), append([]string{}, e.Lines...)
	return json.Marshal(struct {
		Time     time.Time `json:"time"`
		PID      int       `json:"pid"`
		How      string    `json:"how"`
		Lived    float64   `json:"lived_ms"`
		Served   bool      `json:"served"`
		InFlight []Request `json:"in_flight"`
		Lines    []string  `json:"lines"`
	}{e.Time, e.PID, e.how(), float64(e.Lived) / float64(time.Millisecond), e.Served, inFlight, lines})
}

package supervise

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge/events"
)

// tell tells of an event of an instance.
func (sup *supervisor) tell(in *instance, e events.Event) {
	e.Instance = in.socket.Addr
	sup.plan.Events.Add(e)
}

// tellExit tells how a process ended, with its last lines unless it was to end.
func (sup *supervisor) tellExit(in *instance, p *pendingExit) {
	e := &p.exit
	switch {
	case p.planned:
		sup.tell(in, events.Event{Kind: events.End, PID: e.PID, Text: "A process that is not needed any more has ended."})
	case p.clean:
		sup.tell(in, events.Event{Kind: events.End, PID: e.PID, Text: "A process has ended by itself, without an error."})
	case e.Err != "":
		sup.tell(in, events.Event{Kind: events.Crash, Text: "A process " + e.how() + "."})
	case e.Served:
		sup.tell(in, events.Event{Kind: events.Crash, PID: e.PID, Lines: e.Lines, Text: "A process has ended: " + e.how() + "."})
	default:
		sup.tell(in, events.Event{Kind: events.Crash, PID: e.PID, Lines: e.Lines, Text: "A process has ended before it had answered a request: " + e.how() + "."})
	}
}

func (sup *supervisor) tellCrashLoop(what crashLoopEvent) {
	switch what {
	case loopBegins:
		sup.plan.Events.Add(events.Event{Kind: events.CrashLoop, Text: "A crash loop has begun: processes end again and again."})
	case loopEnds:
		lasted := time.Since(sup.crashLoop.began).Round(time.Second)
		sup.plan.Events.Add(events.Event{Kind: events.CrashLoopOver, Text: "The crash loop is over. It lasted " + lasted.String() + "."})
	}
}

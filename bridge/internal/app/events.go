package app

import (
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/events"
)

// noteStall remembers that the application answers nobody, or does again.
func (a *Application) noteStall(s admission.Stall) {
	if s.Ended.IsZero() {
		a.Events.Add(events.Event{Kind: events.Stall, Text: fmt.Sprintf("The application stopped answering. %d requests were in flight.", len(s.Held))})
		return
	}
	lasted := s.Ended.Sub(s.Began).Round(100 * time.Millisecond)
	a.Events.Add(events.Event{Kind: events.Answers, Text: fmt.Sprintf("The application answers again. It had answered nobody for %v.", lasted)})
}

// onOutage is told that an instance cannot be connected to, or can be again.
func (a *Application) onOutage(instance string, err error) {
	if err != nil {
		a.Events.Add(events.Event{Kind: events.Down, Instance: instance, Text: fmt.Sprintf("Nothing can be connected to there: %v.", err)})
	} else {
		a.Events.Add(events.Event{Kind: events.Up, Instance: instance, Text: "It can be connected to again."})
	}
	if told := a.hooks.OnOutage; told != nil {
		told(instance, err)
	}
}

// noteAuthorizer remembers that the authorizer cannot be connected to, or can be again.
func (a *Application) noteAuthorizer(instance string, err error) {
	if err != nil {
		a.Events.Add(events.Event{Kind: events.Down, Instance: instance, Text: fmt.Sprintf("The authorizer cannot be connected to: %v.", err)})
		return
	}
	a.Events.Add(events.Event{Kind: events.Up, Instance: instance, Text: "The authorizer can be connected to again."})
}

// onCapacity is told how many connections an instance holds.
func (a *Application) onCapacity(instance string, connections, workers int) {
	if connections < workers {
		a.Events.Add(events.Event{Kind: events.Full, Instance: instance, Text: fmt.Sprintf("It is full with %d requests at once, and has %d workers by the settings.", connections, workers)})
		return
	}
	a.Events.Add(events.Event{Kind: events.NotFull, Instance: instance, Text: fmt.Sprintf("It is trusted with all of its %d workers again.", workers)})
}

package registry

import (
	"sync"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// Events receives the events of applications. The events of one application are delivered one
// after the other. Nothing waits for their delivery, so the methods may take their time.
type Events interface {
	// Stall: the application has stopped answering, or, with s.Ended set, answers again.
	Stall(application string, s admission.Stall)
	// Outage: an instance cannot be connected to, or can be again if err is nil.
	Outage(application, instance string, err error)
	// GivenUp: the application cannot be started for a while.
	GivenUp(application string)
}

func (a *Application) onStall(s admission.Stall) {
	a.report(func(to Events) { to.Stall(a.name, s) })
}

func (a *Application) onOutage(instance string, err error) {
	a.report(func(to Events) { to.Outage(a.name, instance, err) })
}

func (a *Application) onGivenUp() {
	a.report(func(to Events) { to.GivenUp(a.name) })
}

// report queues an event for the latest user.
func (a *Application) report(event func(to Events)) {
	if u := a.users.latest.Load(); u != nil && u.Events != nil {
		a.events.put(func() { event(u.Events) })
	}
}

// eventQueue runs functions one after the other, in the order of put.
type eventQueue struct {
	running sync.WaitGroup

	mu   sync.Mutex
	list []func() // the first one is running
}

func (q *eventQueue) put(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.list = append(q.list, f); len(q.list) == 1 {
		q.running.Go(q.run)
	}
}

func (q *eventQueue) run() {
	for f := q.first(); f != nil; f = q.next() {
		f()
	}
}

func (q *eventQueue) first() func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.list[0]
}

// next removes the function that has run and returns the next one, nil if there is none.
func (q *eventQueue) next() func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.list = q.list[1:]; len(q.list) == 0 {
		return nil
	}
	return q.list[0]
}

package registry

import (
	"sync"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// Events is told what happens to applications. It may take its time: of one application it is
// told one event after the other, and nothing waits for it.
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

// report tells the latest user of an event.
func (a *Application) report(event func(to Events)) {
	if u := a.users.latest.Load(); u != nil && u.Events != nil {
		a.events.put(func() { event(u.Events) })
	}
}

// queue runs functions one after the other, in the order in which they came.
type queue struct {
	running sync.WaitGroup

	mu   sync.Mutex
	list []func() // the first of them runs
}

func (q *queue) put(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.list = append(q.list, f); len(q.list) == 1 {
		q.running.Go(q.run)
	}
}

func (q *queue) run() {
	for f := q.first(); f != nil; f = q.next() {
		f()
	}
}

func (q *queue) first() func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.list[0]
}

// next is what comes after the function that was run, nil if there is nothing.
func (q *queue) next() func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.list = q.list[1:]; len(q.list) == 0 {
		return nil
	}
	return q.list[0]
}

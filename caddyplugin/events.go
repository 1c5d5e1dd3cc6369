package caddyplugin

import (
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// Events that a configuration may subscribe to.
const (
	eventStallBegin   = "sluice_stall_begin"
	eventStallEnd     = "sluice_stall_end"
	eventInstanceDown = "sluice_instance_down"
	eventInstanceUp   = "sluice_instance_up"
	eventGivenUp      = "sluice_spawn_budget_exhausted"
)

// noteStall emits an event for the begin and the end of a stall.
func (a *application) noteStall(s admission.Stall) {
	if s.Ended.IsZero() {
		a.emit(eventStallBegin, map[string]any{"since": s.Began.Format(time.RFC3339), "in_flight": len(s.Held)})
		return
	}
	a.emit(eventStallEnd, map[string]any{"since": s.Began.Format(time.RFC3339), "stalled_for": s.Ended.Sub(s.Began).Round(time.Millisecond).String()})
}

// noteOutage emits an event for an instance that cannot be connected to, and for one that
// can be again.
func (a *application) noteOutage(instance string, err error) {
	if err == nil {
		a.emit(eventInstanceUp, map[string]any{"instance": instance})
		return
	}
	a.emit(eventInstanceDown, map[string]any{"instance": instance, "error": err.Error()})
}

// noteGivenUp emits an event for an application that cannot be started.
func (a *application) noteGivenUp() { a.emit(eventGivenUp, map[string]any{}) }

// emit gives an event to the latest configuration, without waiting for what that does
// with it.
func (a *application) emit(name string, data map[string]any) {
	out := a.outlets.latest.Load()
	if out == nil {
		return
	}
	data["application"] = a.name
	a.events.put(func() { out.events.Emit(out.ctx, name, data) })
}

// eventQueue runs functions one after the other, in the order in which they came.
type eventQueue struct {
	running sync.WaitGroup

	mu   sync.Mutex
	list []func() // the first of them runs
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

// next is what comes after the function that was run, nil if there is nothing.
func (q *eventQueue) next() func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.list = q.list[1:]; len(q.list) == 0 {
		return nil
	}
	return q.list[0]
}

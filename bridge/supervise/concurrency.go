package supervise

import (
	"fmt"
	"slices"
	"time"
)

// concurrency is how many requests a process serves at once, as far as it is known. A program
// may serve fewer than Config.Workers: CGI::Fast, gitweb and MapServer serve one, PHP as many as
// it has children. Nothing fails then, but requests wait in the accept queue, where their order
// cannot be changed.
//
// That is so if connections wait to be accepted although fewer than Workers are accepted, while
// requests are answered.
type concurrency struct {
	nextCheck time.Time
	sampling  query[acceptSample]

	maxAccepted int          // connections that a process had accepted at once, at most
	first       acceptSample // the first of the samples in a row in which connections waited
	count       int          // of these samples

	limit       int  // requests that a process serves at once, if fewer than Workers; else 0
	singleExits int  // clean exits in a row after one answer
	endsEach    bool // a process exits after each request
}

// acceptSample is a look at the connections of an instance.
type acceptSample struct {
	instance *instance
	stats    *processStats
	answers  uint64
	accepted int  // connections that are accepted
	waiting  int  // connections that are not
	known    bool // the numbers are right
}

const (
	// acceptInterval is the time between samples while connections wait; else checkInterval.
	acceptInterval = 250 * time.Millisecond
	// acceptSamples in a row in which connections wait, and acceptAnswers meanwhile, show that
	// a process serves no more requests at once.
	acceptSamples = 8
	acceptAnswers = 3
	// singleExitsLimit clean exits in a row after one answer show that a process serves one
	// request in its life.
	singleExitsLimit = 5
)

// observeConcurrency takes samples of one instance.
func (sup *supervisor) observeConcurrency(now time.Time) {
	c := &sup.concurrency
	if seen, ok := c.sampling.take(); ok {
		sup.noteAccepts(seen, now)
	}
	if sup.plan.Workers < 2 || c.maxAccepted >= sup.plan.Workers || c.limit > 0 {
		return
	}
	if c.sampling.isPending() {
		return
	}
	if now.Before(c.nextCheck) {
		sup.wakeAt(c.nextCheck)
		return
	}
	c.nextCheck = now.Add(checkInterval)
	i := slices.IndexFunc(sup.instances, func(in *instance) bool {
		n, steady := sup.front.Connected(in.socket.Addr)
		return n > 1 && steady && in.alive.Load() && in.machine.state == stateServing
	})
	if i < 0 {
		c.count = 0
		if sup.front.Load().InFlight > 0 {
			sup.wakeAt(c.nextCheck)
		} else {
			sup.wakeOnAnswer.Store(true)
		}
		return
	}
	in := sup.instances[i]
	stats := in.stats.Load()
	c.sampling = startQuery(sup, func() acceptSample {
		before, _ := sup.front.Connected(in.socket.Addr)
		n, known := sup.program.queued(in.socket)
		after, steady := sup.front.Connected(in.socket.Addr)
		return acceptSample{in, stats, stats.answers.Load(), before - n, n, known && steady && before == after && n <= before}
	})
}

// noteAccepts evaluates a sample.
func (sup *supervisor) noteAccepts(seen acceptSample, now time.Time) {
	c := &sup.concurrency
	if !seen.known || seen.instance.stats.Load() != seen.stats {
		return // connections or the process have changed meanwhile
	}
	c.maxAccepted = max(c.maxAccepted, seen.accepted)
	if seen.waiting == 0 || c.maxAccepted >= sup.plan.Workers {
		c.count = 0
		return
	}
	c.nextCheck = now.Add(acceptInterval)
	if c.count == 0 || c.first.stats != seen.stats {
		c.first, c.count = seen, 0
	}
	c.count++
	if c.count >= acceptSamples && seen.answers-c.first.answers >= acceptAnswers {
		c.limit = max(c.maxAccepted, 1)
		sup.log.Warn("the command serves fewer requests at once than it should: the others wait in its socket, where they cannot be put in order",
			"instance", seen.instance.socket.Addr, "at_once", c.limit, "workers", sup.plan.Workers, "advice", c.advice(sup.plan))
	}
}

// noteCleanExit evaluates a clean exit.
func (c *concurrency) noteCleanExit(sup *supervisor, in *instance) {
	if in.stats.Load().answers.Load() != 1 {
		c.singleExits, c.endsEach = 0, false
		return
	}
	if c.singleExits++; c.singleExits < singleExitsLimit || c.endsEach {
		return
	}
	c.endsEach = true
	if sup.plan.Workers > 1 {
		sup.log.Warn("the command ends after each request, and serves one at once", "instance", in.socket.Addr, "workers", sup.plan.Workers, "advice", c.advice(sup.plan))
	}
}

// advice is what to set; "": nothing.
func (c *concurrency) advice(p *plan) string {
	limit := c.limit
	if c.endsEach {
		limit = 1
	}
	switch {
	case limit == 0 || limit >= p.Workers:
		return ""
	case limit == 1:
		return fmt.Sprintf("set workers to 1, and spawn.instances (--command-instances) to %d or as many as there is memory for", p.Workers)
	}
	return fmt.Sprintf("set workers to %d", limit)
}

// ConcurrencySnapshot is how many requests a process serves at once, as far as it is known.
type ConcurrencySnapshot struct {
	Seen          int    `json:"seen"`            // connections that a process had accepted at once, at most; 0 or 1 if there was no need to look
	Limit         int    `json:"limit"`           // requests that a process serves at once, if fewer than workers; else 0
	EndsAfterEach bool   `json:"ends_after_each"` // a process ends after each request
	Advice        string `json:"advice,omitempty"`
}

func (c *concurrency) snapshot(p *plan) ConcurrencySnapshot {
	return ConcurrencySnapshot{c.maxAccepted, c.limit, c.endsEach, c.advice(p)}
}

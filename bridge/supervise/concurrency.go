package supervise

import (
	"fmt"
	"slices"
	"time"
)

// concurrency is what is found out about how many requests a process serves at once. A
// program may serve fewer than Config.Workers: CGI::Fast, gitweb and MapServer serve one,
// PHP as many as it has children. Nothing fails then, but requests wait in the program's
// socket, where nobody can choose among them.
//
// It is seen by the connections that wait to be accepted while others, fewer than Workers,
// are, and requests are answered.
type concurrency struct {
	lookAt time.Time
	asking errand[crowd]

	most  int   // connections that a process had accepted at once, at most
	rows  crowd // the first of the looks at which connections waited, without one between at which none did
	count int   // of those looks

	limit    int  // how many a process serves at once; 0: as many as workers says, as far as is known
	singles  int  // clean exits in a row of processes that had answered one request
	endsEach bool // a process ends after each request
}

// crowd is what is seen at an instance.
type crowd struct {
	slot     *slot
	merit    *merit
	answers  uint64
	accepted int  // connections
	waiting  int  // those that are not
	known    bool // all this is
}

const (
	// crowdEvery is how often it is looked while connections wait; else each lookEvery.
	crowdEvery = 250 * time.Millisecond
	// crowdLooks in a row at which connections wait, and crowdAnswers meanwhile, show that a
	// process serves no more at once.
	crowdLooks   = 8
	crowdAnswers = 3
	// singleExits in a row show that a process ends after each request.
	singleExits = 5
)

// observe finds out how many requests a process serves at once.
func (k *keeper) observe(now time.Time) {
	c := &k.concurrency
	if seen, ok := c.asking.take(); ok {
		k.noteCrowd(seen, now)
	}
	if k.plan.Workers < 2 || c.most >= k.plan.Workers || c.limit > 0 {
		return
	}
	if c.asking.isOut() {
		return
	}
	if now.Before(c.lookAt) {
		k.at(c.lookAt)
		return
	}
	c.lookAt = now.Add(lookEvery)
	i := slices.IndexFunc(k.slots, func(s *slot) bool {
		n, steady := k.front.Connected(s.socket.addr)
		return n > 1 && steady && s.alive.Load() && s.machine.state == Serving
	})
	if i < 0 {
		c.count = 0
		if k.front.Load().InFlight > 0 {
			k.at(c.lookAt)
		} else {
			k.dozing.Store(true)
		}
		return
	}
	s := k.slots[i]
	m := s.merit.Load()
	c.asking = send(k, func() crowd {
		before, _ := k.front.Connected(s.socket.addr)
		n, known := k.program.queued(s.socket)
		after, steady := k.front.Connected(s.socket.addr)
		return crowd{s, m, m.answers.Load(), before - n, n, known && steady && before == after && n <= before}
	})
}

// noteCrowd takes note of what was seen.
func (k *keeper) noteCrowd(seen crowd, now time.Time) {
	c := &k.concurrency
	if !seen.known || seen.slot.merit.Load() != seen.merit {
		return // connections came and went meanwhile, or the process did
	}
	c.most = max(c.most, seen.accepted)
	if seen.waiting == 0 || c.most >= k.plan.Workers {
		c.count = 0
		return
	}
	c.lookAt = now.Add(crowdEvery)
	if c.count == 0 || c.rows.merit != seen.merit {
		c.rows, c.count = seen, 0
	}
	c.count++
	if c.count >= crowdLooks && seen.answers-c.rows.answers >= crowdAnswers {
		c.limit = max(c.most, 1)
		k.log.Warn("the command serves fewer requests at once than it should: the others wait in its socket, where they cannot be put in order",
			"instance", seen.slot.socket.addr, "at_once", c.limit, "workers", k.plan.Workers, "advice", c.advice(k.plan))
	}
}

// noteClean takes note of a clean exit.
func (c *concurrency) noteClean(k *keeper, s *slot) {
	if s.merit.Load().answers.Load() != 1 {
		c.singles, c.endsEach = 0, false
		return
	}
	if c.singles++; c.singles < singleExits || c.endsEach {
		return
	}
	c.endsEach = true
	if k.plan.Workers > 1 {
		k.log.Warn("the command ends after each request, and serves one at once", "instance", s.socket.addr, "workers", k.plan.Workers, "advice", c.advice(k.plan))
	}
}

// advice says what to do about it; "": nothing.
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

// ConcurrencySnapshot is what was found out about how many requests a process serves at
// once.
type ConcurrencySnapshot struct {
	Seen          int    `json:"seen"`            // connections that a process had accepted at once, at most; 0 or 1 if nobody has looked yet
	Limit         int    `json:"limit"`           // how many a process serves at once, if that is fewer than workers; else 0
	EndsAfterEach bool   `json:"ends_after_each"` // a process ends after each request
	Advice        string `json:"advice,omitempty"`
}

func (c *concurrency) snapshot(p *plan) ConcurrencySnapshot {
	return ConcurrencySnapshot{c.most, c.limit, c.endsEach, c.advice(p)}
}

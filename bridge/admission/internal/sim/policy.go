package sim

import "fmt"

// Policy is the name of a policy.
type Policy string

const (
	Unlimited Policy = "unlimited" // nginx, Caddy: every request connects, and the application's backlog is the queue
	FIFO      Policy = "fifo"      // HAProxy with its maxconn set to the workers: one queue
	GateFIFO  Policy = "gate-fifo" // the same, by the gate with its lanes off
	Priority  Policy = "priority"  // the same with a queue for polls, served when the other is empty; told which are polls
	Split     Policy = "split"     // three quarters of the workers for the short, one for polls; told which are polls
	Declared  Policy = "declared"  // the gate, told which are polls
	Learned   Policy = "learned"   // the gate, told nothing
)

// Policies lists them in the order of the table.
func Policies() []Policy {
	return []Policy{Unlimited, FIFO, GateFIFO, Priority, Split, Declared, Learned}
}

func (p Policy) told() bool { return p == Priority || p == Split || p == Declared }

// policy decides which requests start. It calls run.start or run.refuse for each request that it
// was given, at once or later, unless the client leaves before.
type policy interface {
	enter(*request)
	leave(*request)     // the client left while the request waited
	connected(*request) // the request has its connection to the application
	done(*request)      // the application has finished the request
	streaming(*request) // the answer's header says that it is a stream
	bounded() bool      // whether the policy starts no more than there are workers
	check() error       // what must hold after every event
	compare() error     // what must hold, and is too slow for every event
	finish() error      // what must hold when all clients have left
	trace(*Second)
}

func newPolicy(s *run) (policy, error) {
	w := s.o.Workers
	switch s.o.Policy {
	case Unlimited:
		return &unlimited{s: s}, nil
	case FIFO:
		return &queues{s: s, limit: []int{w}, all: w, pick: func(*request) int { return 0 }}, nil
	case Priority:
		return &queues{s: s, limit: []int{w, w}, all: w, pick: toldLane}, nil
	case Split:
		return &queues{s: s, limit: []int{w - w/4, w / 4}, all: w, pick: toldLane}, nil
	case GateFIFO, Declared, Learned:
		return newGatePolicy(s)
	}
	return nil, fmt.Errorf("sim: no policy %q", s.o.Policy)
}

func toldLane(r *request) int {
	if r.Long {
		return 1
	}
	return 0
}

// noEvents is embedded in models that ignore most events.
type noEvents struct{}

func (noEvents) connected(*request) {}
func (noEvents) streaming(*request) {}
func (noEvents) bounded() bool      { return true }
func (noEvents) check() error       { return nil }
func (noEvents) compare() error     { return nil }
func (noEvents) finish() error      { return nil }
func (noEvents) trace(*Second)      {}

// unlimited starts every request at once. Requests wait in the application's backlog, and are
// served even if their clients have left.
type unlimited struct {
	noEvents
	s *run
}

func (u *unlimited) bounded() bool    { return false }
func (u *unlimited) enter(r *request) { u.s.start(r) }
func (u *unlimited) leave(*request)   {}
func (u *unlimited) done(*request)    {}

// queues are first-in-first-out queues, each with a limit of what it may have
// started, the first served first. Who leaves is taken out; nobody is refused.
type queues struct {
	noEvents
	s       *run
	limit   []int
	all     int
	pick    func(*request) int
	line    [2][]*request
	started [2]int
}

func (q *queues) enter(r *request) {
	i := q.pick(r)
	q.line[i] = append(q.line[i], r)
	q.dispatch()
}

func (q *queues) leave(*request) {} // dispatch passes it over

func (q *queues) done(r *request) {
	q.started[q.pick(r)]--
	q.dispatch()
}

func (q *queues) dispatch() {
	for i, limit := range q.limit {
		for len(q.line[i]) > 0 && q.started[i] < limit && q.started[0]+q.started[1] < q.all {
			r := q.line[i][0]
			q.line[i] = q.line[i][1:]
			if r.state != waiting {
				continue
			}
			q.started[i]++
			q.s.start(r)
		}
	}
}

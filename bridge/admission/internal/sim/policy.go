package sim

import "fmt"

// Policy names what decides who may start.
type Policy string

const (
	Unlimited Policy = "unlimited" // nginx, Caddy: everybody connects, the application's backlog is the queue
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

// policy decides. It calls run.start or run.refuse of a request that it was
// given, at once or later, unless its client leaves before.
type policy interface {
	enter(*request)
	leave(*request)     // its client left while it waited
	connected(*request) // it has its connection to the application
	done(*request)      // the application has finished it
	streaming(*request) // its answer's header says that it is a stream
	bounded() bool      // it starts no more than there are workers
	check() error       // what must hold after every event
	compare() error     // what must hold, and is too slow for every event
	finish() error      // what must hold when everybody has gone
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

// other is what the models have nothing to say about.
type other struct{}

func (other) connected(*request) {}
func (other) streaming(*request) {}
func (other) bounded() bool      { return true }
func (other) check() error       { return nil }
func (other) compare() error     { return nil }
func (other) finish() error      { return nil }
func (other) trace(*Second)      {}

// unlimited starts everybody: what waits does so in the application's backlog,
// and is served though its client has left.
type unlimited struct {
	other
	s *run
}

func (u *unlimited) bounded() bool    { return false }
func (u *unlimited) enter(r *request) { u.s.start(r) }
func (u *unlimited) leave(*request)   {}
func (u *unlimited) done(*request)    {}

// queues are first-in-first-out queues, each with a limit of what it may have
// started, the first served first. Who leaves is taken out; nobody is refused.
type queues struct {
	other
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

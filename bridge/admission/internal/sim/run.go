package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// Options say what Run simulates.
type Options struct {
	Policy   Policy
	Scenario Scenario
	Workers  int
	Load     float64       // the part of all workers that the short requests alone would keep busy
	For      time.Duration // virtual time that is measured, from a cold start on
	Seed     uint64

	Adjust func(*admission.Config)     // changes the result of Defaults; may be nil
	Check  func(*admission.Gate) error // called after every event; may be nil
	Trace  func(Second)                // called every virtual second; may be nil
}

// run is a simulation in progress.
type run struct {
	timeline
	o       Options
	policy  policy
	backend backend
	stats   stats
	site    site
	nesting *rand.Rand
	err     []error
}

// maxErrors is how many errors of a run are kept; the first ones explain the others.
const maxErrors = 5

// Run simulates. The error says what did not hold; the Result is valid in any case.
func Run(o Options) (Result, error) {
	s, err := newRun(o)
	if err != nil {
		return Result{}, err
	}
	return s.play()
}

func newRun(o Options) (*run, error) {
	s := &run{o: o}
	s.backend.s = s
	s.stats.s = s
	var err error
	s.policy, err = newPolicy(s)
	return s, err
}

func (s *run) play() (Result, error) {
	s.sources()
	s.everySecond()
	for len(s.err) < maxErrors && !(s.draining() && s.stats.quiet()) {
		e := s.next()
		e.do(e.r)
		s.check()
	}
	if len(s.err) < maxErrors {
		s.fail(s.policy.finish())
	}
	return s.stats.result(), errors.Join(s.err...)
}

// draining reports whether the measured time is over: no more requests come.
func (s *run) draining() bool { return s.now >= s.o.For }

func (s *run) fail(err error) {
	if err != nil && len(s.err) < maxErrors {
		s.err = append(s.err, fmt.Errorf("at %v: %w", s.now, err))
	}
}

func (s *run) failf(format string, args ...any) { s.fail(fmt.Errorf(format, args...)) }

func (s *run) check() {
	if s.policy.bounded() && s.backend.busy+len(s.backend.idle) > s.o.Workers {
		s.failf("P1: %d connections in use and %d idle, of %d workers", s.backend.busy, len(s.backend.idle), s.o.Workers)
	}
	s.fail(s.policy.check())
}

// arrive is a client's attempt.
func (s *run) arrive(r *request) {
	r.at = s.now
	if r.state == made {
		r.first = s.now
		s.stats.came(r)
		if r.own {
			s.after(r.leave, s.leave, r)
		}
	}
	r.state = waiting
	s.stats.waits(r, 1)
	s.policy.enter(r)
	if (r.state == waiting || r.state == running) && !r.own && !s.sure(r) {
		s.after(r.first+r.leave-s.now, s.leave, r)
	}
}

// sure reports whether r will certainly end before its client loses patience, so that no event is
// needed for that.
func (s *run) sure(r *request) bool {
	return r.class == short && r.state == running && r.begun == s.now && s.o.Scenario.Stall == 0 && r.work < time.Second
}

// start is called by the policy when r may start.
func (s *run) start(r *request) {
	if r.state != waiting {
		s.failf("P4: a request that was not waiting is started (state %d)", r.state)
		return
	}
	s.stats.waits(r, -1)
	r.state = running
	s.stats.runs(r, 1)
	if s.backend.connect(r) {
		if s.policy.bounded() && len(s.backend.backlog) > 0 {
			s.failf("P1: a connection waits in the application's backlog")
		}
		return
	}
	s.stats.runs(r, -1)
	r.state = refused
	s.stats.refuse(r)
	s.retry(r, retryUntold)
}

// refuse is called by the policy when r is refused. The client is told to come back after a time;
// 0: it is told nothing.
func (s *run) refuse(r *request, after time.Duration) {
	if r.state != waiting {
		s.failf("a request that was not waiting is refused (state %d)", r.state)
		return
	}
	s.stats.waits(r, -1)
	r.state = refused
	s.stats.refuse(r)
	if after == 0 {
		after = retryUntold
	}
	s.retry(r, after)
}

// retry is what a refused client does.
func (s *run) retry(r *request, after time.Duration) {
	if s.o.Scenario.Retry && !r.heeds {
		after = retryAtOnce
	}
	switch {
	case r.tab != nil:
		s.stats.outcome(r, false)
		r.tab.again(after)
		return
	case s.o.Scenario.Retry && s.now+after < r.first+r.leave && !s.draining():
		s.after(after, s.arrive, r)
		return
	}
	s.stats.outcome(r, false)
	s.answerParent(r)
}

// answerParent resumes the page that waits for r, whatever became of r.
func (s *run) answerParent(r *request) {
	if r.parent != nil {
		s.backend.resume(r.parent)
		r.parent = nil
	}
}

// leave is called when the client of r gives up.
func (s *run) leave(r *request) {
	switch r.state {
	case waiting:
		s.stats.waits(r, -1)
		r.state = left
		s.policy.leave(r)
	case running:
		if r.gone {
			return
		}
	default: // it has its answer, or was refused and does not come back before it would leave
		return
	}
	r.gone = true
	s.stats.outcome(r, false)
	s.answerParent(r)
	if r.tab != nil {
		r.tab.again(r.tab.pause())
	}
}

// begun is called when a worker has taken up r.
func (s *run) begun(r *request) {
	s.stats.begun(r)
	if s.o.Scenario.Streams && r.class == poll {
		s.after(streamHeader, func(r *request) {
			if r.state == running {
				s.policy.streaming(r)
			}
		}, r)
	}
}

// ended is called when the application has finished r, whether the client is there or not.
func (s *run) ended(r *request) {
	s.stats.runs(r, -1)
	r.state = ended
	s.stats.ended(r)
	s.policy.done(r)
	if r.gone {
		return
	}
	s.stats.outcome(r, true)
	s.answerParent(r)
	if r.tab != nil {
		r.tab.again(r.tab.pause())
	}
}

func (s *run) everySecond() {
	s.after(time.Second, func(*request) {
		s.fail(s.policy.compare())
		if !s.draining() {
			s.stats.second()
		}
		s.everySecond()
	}, nil)
}

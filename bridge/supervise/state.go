package supervise

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"
)

// State is what an instance is at.
//
//	Waiting  --started-->  Starting --readied--> Ready --served--> Serving
//	Broken   --started-->  Probing  --served--> Serving
//	any of those with a child --died--> Waiting, or Broken if the budget is spent
//	Serving  --finished--> Waiting
//	any of those with a child --retire, renew, sleep--> Draining --drained--> Ending
//	Draining, Ending --died--> Closed, Waiting or Asleep, as it was drained for
//	Draining --woken, kept--> what it was
//	Asleep   --woken-->    Waiting
type State uint8

const (
	Waiting  State = iota // none runs; the next is started after a pause
	Starting              // a child runs that is not known to be ready
	Ready                 // it is, and has answered no request yet
	Serving               // it has
	Draining              // it gets no more requests, and finishes those it has
	Ending                // it was told to end
	Asleep                // none runs until there is a request
	Broken                // none runs: the budget is spent, requests should be refused
	Probing               // the budget is spent, and a child runs that may show that all is well again
	Closed                // none runs, nor will
)

var stateNames = [...]string{"waiting", "starting", "ready", "serving", "draining", "ending", "asleep", "broken", "probing", "closed"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// runs reports whether there is a child.
func (s State) hasProcess() bool { return s.takesRequests() || s == Draining || s == Ending }

// works reports whether there is a child that is to be asked.
func (s State) takesRequests() bool { return s.isUnproven() || s == Serving }

// unproven reports whether there is a child that has answered nothing yet.
func (s State) isUnproven() bool { return s == Starting || s == Ready || s == Probing }

// event is what happens to an instance.
type event uint8

const (
	started        event = iota // a child is there
	running                     // it runs the command
	becameReady                 // it accepts requests
	served                      // it has answered one
	exited                      // it has ended, or could not be started
	exitedCleanly               // it has exited cleanly, see cleanExit
	retire                      // the instance is to go
	replace                       // the child is to be followed by another
	goIdle                       // the child is to end until there is a request
	drained                     // nothing is left to do for a child that is drained
	requested                       // there is a request
	drainCancelled              // it is not drained after all
	breakerClosed               // another instance has shown that all is well again
	closed                      // nobody wants the instance any more
)

const (
	// A child that never served is followed by the next after firstPause, doubling up
	// to mostPause.
	minBackoff = time.Second
	maxBackoff  = time.Minute

	// One that served is followed at once the first time, and then after shortPause,
	// doubling up to mostShort.
	minFlapBackoff = 100 * time.Millisecond
	maxFlapBackoff  = 5 * time.Second

	// useful is how long a child must live to be worth its start. One that serves and
	// lives so long is followed after a quarter of its life at most, so that the
	// application is there four fifths of the time.
	usefulLife = time.Second

	// steady is how long a child must live for what was before it to be forgotten.
	steadyLife = time.Minute

	// A child that has exited cleanly is followed at once: cleanBurst times in a row, and
	// cleanRate times a second on end. That is more than the requests of a page need, and
	// not more than a machine can bear.
	cleanBurst = 100
	cleanRate  = 20
)

// machine decides when an instance's children are started. It knows no processes and no
// clocks.
type machine struct {
	budget *budget        // of all instances
	stop   bool           // those that served are on the budget, too
	random func() float64 // 0 to 1
	cleanPace   *rate.Limiter  // of starts after clean exits

	state    State
	since    time.Time // in that state
	startedAt    time.Time // when the child there is, or was last, began to run, or to be started
	next     time.Time // when a child is to be started; zero: not now
	failures int       // children in a row that never served
	flaps    int       // children in a row that served, and died before they were steady
	drainReason      event     // what a child is drained for: retire, renew or sleep
	drainedFrom     State     // in which it was before
}

func newMachine(b *budget, stop bool, random func() float64, now time.Time) *machine {
	return &machine{
		budget: b, stop: stop, random: random, cleanPace: rate.NewLimiter(cleanRate, cleanBurst),
		state: Waiting, since: now, next: now,
	}
}

// step is the one place where the state changes. An event that means nothing in a state
// changes nothing.
func (m *machine) step(now time.Time, e event) {
	s := m.state
	switch {
	case s == Closed:
	case e == closed, e == retire && !s.hasProcess():
		m.enter(now, Closed, time.Time{})
	case e == started && s == Waiting:
		m.startedAt = now
		m.enter(now, Starting, time.Time{})
	case e == started && s == Broken:
		m.startedAt = now
		m.enter(now, Probing, time.Time{})
	case e == running && s.hasProcess():
		m.startedAt = now // its life begins
	case e == becameReady && s == Starting:
		m.enter(now, Ready, time.Time{})
	case e == served && s.isUnproven():
		m.failures = 0
		if s == Probing || !m.stop {
			m.budget.reset()
		}
		m.enter(now, Serving, time.Time{})
	case (e == retire || e == replace || e == goIdle) && s.takesRequests():
		m.drainReason, m.drainedFrom = e, s
		m.enter(now, Draining, time.Time{})
	case e == retire && s.hasProcess():
		m.drainReason = e // whatever it was drained for before
	case e == drained && s == Draining:
		m.enter(now, Ending, time.Time{})
	case e == requested && (s == Asleep || s == Waiting), e == breakerClosed && s == Broken:
		m.enter(now, Waiting, now)
	case e == requested && s == Draining && m.drainReason == goIdle, e == drainCancelled && s == Draining:
		m.enter(now, m.drainedFrom, time.Time{})
	case e == requested && s == Ending && m.drainReason == goIdle:
		m.drainReason = replace
	case e == exitedCleanly && s == Serving:
		m.enter(now, Waiting, now.Add(m.cleanPace.ReserveN(now, 1).DelayFrom(now)))
	case e == exited, e == exitedCleanly:
		m.exited(now)
	}
}

func (m *machine) enter(now time.Time, s State, next time.Time) {
	m.state, m.since, m.next = s, now, next
}

func (m *machine) exited(now time.Time) {
	switch m.state {
	case Serving:
		m.exitedServing(now)
	case Starting, Ready, Waiting:
		m.exitedUnserved(now)
	case Probing, Broken:
		m.enter(now, Broken, now.Add(m.budget.window))
	case Draining, Ending:
		m.exitedDrained(now)
	}
}

// dieDrained is the end of a child that was to end.
func (m *machine) exitedDrained(now time.Time) {
	switch m.drainReason {
	case retire:
		m.enter(now, Closed, time.Time{})
	case goIdle:
		m.enter(now, Asleep, time.Time{})
	default:
		m.enter(now, Waiting, now)
	}
}

// lived is the life of the child that has just died.
func (m *machine) lived(now time.Time) time.Duration {
	if !m.state.hasProcess() {
		return 0 // it was not even started
	}
	return now.Sub(m.startedAt)
}

func (m *machine) exitedUnserved(now time.Time) {
	if m.lived(now) >= steadyLife {
		m.failures = 0 // nobody asked it anything
	}
	m.failures++
	if m.budget.spend(now) {
		m.enter(now, Broken, now.Add(m.budget.window))
		return
	}
	pause := min(doubled(minBackoff, m.failures-1, maxBackoff), maxBackoff)
	// A quarter more or less: what dies together need not come back together.
	pause = time.Duration(float64(pause) * (0.75 + m.random()/2))
	m.enter(now, Waiting, now.Add(min(max(pause, minBackoff), maxBackoff)))
}

func (m *machine) exitedServing(now time.Time) {
	lived := m.lived(now)
	if lived >= steadyLife {
		m.flaps = 0
	}
	m.flaps++
	if m.stop && m.budget.spend(now) {
		m.enter(now, Broken, now.Add(m.budget.window))
		return
	}
	var pause time.Duration
	if m.flaps > 1 {
		pause = doubled(minFlapBackoff, m.flaps-2, maxFlapBackoff)
		if lived >= usefulLife {
			pause = min(pause, lived/4)
		}
		pause = time.Duration(float64(pause) * (0.75 + m.random()/4))
	}
	m.enter(now, Waiting, now.Add(pause))
}

// doubled is d, doubled n times, but no more than most.
func doubled(d time.Duration, n int, most time.Duration) time.Duration {
	for ; n > 0 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}

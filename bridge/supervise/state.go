package supervise

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"
)

// State is the state of an instance.
//
//	Waiting  --started--> Starting --becameReady--> Ready --served--> Serving
//	Broken   --started--> Probing  --served--> Serving
//	Starting, Ready, Probing, Serving --exited--> Waiting, or Broken if the budget is spent
//	Serving  --exitedCleanly--> Waiting
//	Starting, Ready, Probing, Serving --retire, replace, goIdle--> Draining --drained--> Ending
//	Draining, Ending --exited--> Closed after retire, Waiting after replace, Asleep after goIdle
//	Draining --requested, drainCancelled--> the state before
//	Asleep   --requested--> Waiting
//	Broken   --breakerClosed--> Waiting
type State uint8

const (
	Waiting  State = iota // no child; the next is started after a pause
	Starting              // a child, not known to be ready
	Ready                 // a child that is ready and has answered no request yet
	Serving               // a child that has answered a request
	Draining              // a child that gets no more requests, and finishes those it has
	Ending                // a child that was told to end
	Asleep                // no child until there is a request
	Broken                // no child: the budget is spent
	Probing               // a child, although the budget is spent: if it serves, the budget is restored
	Closed                // no child, nor will there be one
)

var stateNames = [...]string{"waiting", "starting", "ready", "serving", "draining", "ending", "asleep", "broken", "probing", "closed"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// hasProcess reports whether there is a child.
func (s State) hasProcess() bool { return s.takesRequests() || s == Draining || s == Ending }

// takesRequests reports whether there is a child that is not on its way out.
func (s State) takesRequests() bool { return s.isUnproven() || s == Serving }

// isUnproven reports whether there is such a child that has answered nothing yet.
func (s State) isUnproven() bool { return s == Starting || s == Ready || s == Probing }

// event is what happens to an instance, or is decided about it.
type event uint8

const (
	started        event = iota // a child is being started
	running                     // the child runs the command
	becameReady                 // the child accepts requests
	served                      // the child has answered a request
	exited                      // the child has exited, or could not be started
	exitedCleanly               // the child has exited cleanly, see Exit.isClean
	retire                      // the instance is to go
	replace                     // the child is to be replaced
	goIdle                      // the child is to end, and the next to start with the next request
	drained                     // the draining child has finished its requests, or had enough time
	requested                   // there is a request
	drainCancelled              // the draining child is to go on
	breakerClosed               // another instance serves
	closed                      // the instance is not needed any more
)

const (
	// The pause after children that never served: minBackoff, doubled up to maxBackoff.
	minBackoff = time.Second
	maxBackoff = time.Minute

	// The pause after children that served: none, then minFlapBackoff, doubled up to
	// maxFlapBackoff.
	minFlapBackoff = 100 * time.Millisecond
	maxFlapBackoff = 5 * time.Second

	// The pause after a child that has served and lived for usefulLife is a quarter of its life
	// at most, so that the application runs four fifths of the time.
	usefulLife = time.Second

	// Earlier failures do not count after a child that has lived for steadyLife.
	steadyLife = time.Minute

	// After a clean exit there is no pause: cleanBurst times in a row, and cleanRate times a
	// second in the long run. That is more than the requests of a page need, and not more than
	// a machine can bear.
	cleanBurst = 100
	cleanRate  = 20
)

// machine is the state of an instance, and decides when the next child is started. It knows
// no processes and no clock.
type machine struct {
	budget    *budget        // shared by all instances
	stop      bool           // see Budget.Stop
	random    func() float64 // 0 to 1
	cleanPace *rate.Limiter  // of starts after clean exits

	state       State
	since       time.Time // when state began
	startedAt   time.Time // when the current or last child began to run, or to be started
	next        time.Time // when a child is to be started; zero: none is
	failures    int       // children in a row that never served
	flaps       int       // children in a row that served, and lived for less than steadyLife
	drainReason event     // why the child is drained: retire, replace or goIdle
	drainedFrom State     // the state before Draining
}

func newMachine(b *budget, stop bool, random func() float64, now time.Time) *machine {
	return &machine{
		budget: b, stop: stop, random: random, cleanPace: rate.NewLimiter(cleanRate, cleanBurst),
		state: Waiting, since: now, next: now,
	}
}

// step is the only place where the state changes. An event that means nothing in a state is
// ignored.
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
		m.drainReason = e // whatever the reason was before
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

// exitedDrained handles the exit of a child that was to end.
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

// lived is how long the child has lived that has just exited.
func (m *machine) lived(now time.Time) time.Duration {
	if !m.state.hasProcess() {
		return 0 // there was none
	}
	return now.Sub(m.startedAt)
}

func (m *machine) exitedUnserved(now time.Time) {
	if m.lived(now) >= steadyLife {
		m.failures = 0 // no request was sent to it
	}
	m.failures++
	if m.budget.spend(now) {
		m.enter(now, Broken, now.Add(m.budget.window))
		return
	}
	pause := min(doubled(minBackoff, m.failures-1, maxBackoff), maxBackoff)
	// A quarter more or less: children that exit together are not started together.
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

// doubled is d, doubled n times, but not more than most.
func doubled(d time.Duration, n int, most time.Duration) time.Duration {
	for ; n > 0 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}

package supervise

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"
)

// state is the state of an instance.
//
//	waiting  --started--> starting --becameReady--> ready --served--> serving
//	broken   --started--> probing  --served--> serving
//	starting, ready, probing, serving --exited--> waiting, or broken if the budget is spent
//	serving  --exitedCleanly--> waiting
//	starting, ready, probing, serving --retire, replace, goIdle--> draining --drained--> ending
//	draining, ending --exited--> closed after retire, waiting after replace, asleep after goIdle
//	draining --requested, drainCancelled--> the state before
//	asleep   --requested--> waiting
//	broken   --breakerClosed--> waiting
type state uint8

const (
	stateWaiting  state = iota // no child; the next is started after a pause
	stateStarting              // a child, not known to be ready
	stateReady                 // a child that is ready and has answered no request yet
	stateServing               // a child that has answered a request
	stateDraining              // a child that gets no more requests, and finishes those it has
	stateEnding                // a child that was told to end
	stateAsleep                // no child until there is a request
	stateBroken                // no child: the budget is spent
	stateProbing               // a child, although the budget is spent: if it serves, the budget is restored
	stateClosed                // no child, nor will there be one
)

var stateNames = [...]string{"waiting", "starting", "ready", "serving", "draining", "ending", "asleep", "broken", "probing", "closed"}

func (s state) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// hasProcess reports whether there is a child.
func (s state) hasProcess() bool { return s.takesRequests() || s == stateDraining || s == stateEnding }

// takesRequests reports whether there is a child that is not on its way out.
func (s state) takesRequests() bool { return s.isUnproven() || s == stateServing }

// isUnproven reports whether there is such a child that has answered nothing yet.
func (s state) isUnproven() bool { return s == stateStarting || s == stateReady || s == stateProbing }

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

	state       state
	since       time.Time // when state began
	startedAt   time.Time // when the current or last child began to run, or to be started
	next        time.Time // when a child is to be started; zero: none is
	failures    int       // children in a row that never served
	flaps       int       // children in a row that served, and lived for less than steadyLife
	drainReason event     // why the child is drained: retire, replace or goIdle
	drainedFrom state     // the state before Draining
}

func newMachine(b *budget, stop bool, random func() float64, now time.Time) *machine {
	return &machine{
		budget: b, stop: stop, random: random, cleanPace: rate.NewLimiter(cleanRate, cleanBurst),
		state: stateWaiting, since: now, next: now,
	}
}

// step is the only place where the state changes. An event that means nothing in a state is
// ignored.
func (m *machine) step(now time.Time, e event) {
	s := m.state
	switch {
	case s == stateClosed:
	case e == closed, e == retire && !s.hasProcess():
		m.enter(now, stateClosed, time.Time{})
	case e == started && s == stateWaiting:
		m.startedAt = now
		m.enter(now, stateStarting, time.Time{})
	case e == started && s == stateBroken:
		m.startedAt = now
		m.enter(now, stateProbing, time.Time{})
	case e == running && s.hasProcess():
		m.startedAt = now // its life begins
	case e == becameReady && s == stateStarting:
		m.enter(now, stateReady, time.Time{})
	case e == served && s.isUnproven():
		m.failures = 0
		if s == stateProbing || !m.stop {
			m.budget.reset()
		}
		m.enter(now, stateServing, time.Time{})
	case (e == retire || e == replace || e == goIdle) && s.takesRequests():
		m.drainReason, m.drainedFrom = e, s
		m.enter(now, stateDraining, time.Time{})
	case e == retire && s.hasProcess():
		m.drainReason = e // whatever the reason was before
	case e == drained && s == stateDraining:
		m.enter(now, stateEnding, time.Time{})
	case e == requested && (s == stateAsleep || s == stateWaiting), e == breakerClosed && s == stateBroken:
		m.enter(now, stateWaiting, now)
	case e == requested && s == stateDraining && m.drainReason == goIdle, e == drainCancelled && s == stateDraining:
		m.enter(now, m.drainedFrom, time.Time{})
	case e == requested && s == stateEnding && m.drainReason == goIdle:
		m.drainReason = replace
	case e == exitedCleanly && s == stateServing:
		m.enter(now, stateWaiting, now.Add(m.cleanPace.ReserveN(now, 1).DelayFrom(now)))
	case e == exited, e == exitedCleanly:
		m.exited(now)
	}
}

func (m *machine) enter(now time.Time, s state, next time.Time) {
	m.state, m.since, m.next = s, now, next
}

func (m *machine) exited(now time.Time) {
	switch m.state {
	case stateServing:
		m.exitedServing(now)
	case stateStarting, stateReady, stateWaiting:
		m.exitedUnserved(now)
	case stateProbing, stateBroken:
		m.enter(now, stateBroken, now.Add(m.budget.window))
	case stateDraining, stateEnding:
		m.exitedDrained(now)
	}
}

// exitedDrained handles the exit of a child that was to end.
func (m *machine) exitedDrained(now time.Time) {
	switch m.drainReason {
	case retire:
		m.enter(now, stateClosed, time.Time{})
	case goIdle:
		m.enter(now, stateAsleep, time.Time{})
	default:
		m.enter(now, stateWaiting, now)
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
		m.enter(now, stateBroken, now.Add(m.budget.window))
		return
	}
	pause := min(doubled(minBackoff, m.failures-1, maxBackoff), maxBackoff)
	// A quarter more or less: children that exit together are not started together.
	pause = time.Duration(float64(pause) * (0.75 + m.random()/2))
	m.enter(now, stateWaiting, now.Add(min(max(pause, minBackoff), maxBackoff)))
}

func (m *machine) exitedServing(now time.Time) {
	lived := m.lived(now)
	if lived >= steadyLife {
		m.flaps = 0
	}
	m.flaps++
	if m.stop && m.budget.spend(now) {
		m.enter(now, stateBroken, now.Add(m.budget.window))
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
	m.enter(now, stateWaiting, now.Add(pause))
}

// doubled is d, doubled n times, but not more than most.
func doubled(d time.Duration, n int, most time.Duration) time.Duration {
	for ; n > 0 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}

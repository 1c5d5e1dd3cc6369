package supervise

import (
	"fmt"
	"time"
)

// State is what the application is at.
type State uint8

const (
	Starting State = iota // a child runs that has served nothing yet
	Serving               // a child runs that has served
	Waiting               // none runs; the next is started after a pause
	Broken                // none runs: the budget is spent, requests should be refused
	Probing               // the budget is spent, and a child runs that may show that all is well again
	Closed                // none runs, nor will
)

func (s State) String() string {
	switch s {
	case Starting:
		return "starting"
	case Serving:
		return "serving"
	case Waiting:
		return "waiting"
	case Broken:
		return "broken"
	case Probing:
		return "probing"
	case Closed:
		return "closed"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// runs reports whether there is a child.
func (s State) runs() bool { return s == Starting || s == Serving || s == Probing }

// event is what happens to the application.
type event uint8

const (
	started event = iota // a child runs
	served               // it has answered a request
	died                 // it has ended, or could not be started
	closed               // nobody wants it any more
)

const (
	// A child that never served is followed by the next after firstPause, doubling up
	// to mostPause.
	firstPause = time.Second
	mostPause  = time.Minute

	// One that served is followed at once the first time, and then after shortPause,
	// doubling up to mostShort.
	shortPause = 100 * time.Millisecond
	mostShort  = 5 * time.Second

	// useful is how long a child must live to be worth its start. One that serves and
	// lives so long is followed after a quarter of its life at most, so that the
	// application is there four fifths of the time.
	useful = time.Second

	// steady is how long a child must live for what was before it to be forgotten.
	steady = time.Minute
)

// machine decides when children are started. It knows no processes and no clocks.
type machine struct {
	budget *budget
	stop   bool           // those that served are on the budget, too
	random func() float64 // 0 to 1

	state State
	since time.Time // in that state
	begun time.Time // the child there is, or was last
	next  time.Time // when a child is to be started; zero: not now
	tries int       // children in a row that never served
	flaps int       // children in a row that served, and died before they were steady
}

func newMachine(b *budget, stop bool, random func() float64, now time.Time) *machine {
	return &machine{budget: b, stop: stop, random: random, state: Waiting, since: now, next: now}
}

// step is the one place where the state changes. An event that means nothing in a state
// changes nothing.
func (m *machine) step(now time.Time, e event) {
	switch {
	case m.state == Closed:
	case e == closed:
		m.enter(now, Closed, time.Time{})
	case e == started && m.state == Waiting:
		m.begun = now
		m.enter(now, Starting, time.Time{})
	case e == started && m.state == Broken:
		m.begun = now
		m.enter(now, Probing, time.Time{})
	case e == served && (m.state == Starting || m.state == Probing):
		m.tries = 0
		if m.state == Probing || !m.stop {
			m.budget.restore()
		}
		m.enter(now, Serving, time.Time{})
	case e == died && m.state == Serving:
		m.dieServing(now)
	case e == died && (m.state == Probing || m.state == Broken):
		m.enter(now, Broken, now.Add(m.budget.window))
	case e == died && (m.state == Starting || m.state == Waiting):
		m.dieUnserved(now)
	}
}

func (m *machine) enter(now time.Time, s State, next time.Time) {
	m.state, m.since, m.next = s, now, next
}

// lived is the life of the child that has just died.
func (m *machine) lived(now time.Time) time.Duration {
	if !m.state.runs() {
		return 0 // it was not even started
	}
	return now.Sub(m.begun)
}

func (m *machine) dieUnserved(now time.Time) {
	if m.lived(now) >= steady {
		m.tries = 0 // nobody asked it anything
	}
	m.tries++
	if m.budget.spend(now) {
		m.enter(now, Broken, now.Add(m.budget.window))
		return
	}
	pause := min(doubled(firstPause, m.tries-1, mostPause), mostPause)
	// A quarter more or less: what dies together need not come back together.
	pause = time.Duration(float64(pause) * (0.75 + m.random()/2))
	m.enter(now, Waiting, now.Add(min(max(pause, firstPause), mostPause)))
}

func (m *machine) dieServing(now time.Time) {
	lived := m.lived(now)
	if lived >= steady {
		m.flaps = 0
	}
	m.flaps++
	if m.stop && m.budget.spend(now) {
		m.enter(now, Broken, now.Add(m.budget.window))
		return
	}
	var pause time.Duration
	if m.flaps > 1 {
		pause = doubled(shortPause, m.flaps-2, mostShort)
		if lived >= useful {
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

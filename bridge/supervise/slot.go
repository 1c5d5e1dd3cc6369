package supervise

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// slot is one instance: a socket, and the child that serves it, one after another.
type slot struct {
	number  int // the lowest that no other has
	socket  *socket
	machine *machine
	child   process // nil: there is none
	death   *death  // of the last child, if it was not looked into yet

	launched bool      // the child runs, or did
	quiet    time.Time // since when no child runs: it has died, or is being started; zero: one does
	spawns   int       // children that ran

	afterClean bool  // the last child's exit was clean
	lastExit   *Exit // that was none of our doing, or because of what it did; nil: none

	merit  atomic.Pointer[merit] // of the child there is, or was last
	alive  atomic.Bool           // a child runs
	losses losses

	exposed bool // requests are sent here
	added   bool // Front knows of it

	ready    <-chan struct{}         // closed when the child is ready; nil: nobody finds out
	unready  func()                  // ends that
	refusal  *atomic.Pointer[string] // why it was not, the last time; nil: nobody has asked
	queueing time.Time               // since when connections have waited for a child to accept the first; zero: none do
	lookAt   time.Time               // when that is looked at next
	peeking  errand[queue]           // looks at it
	peeks    int                     // how often it was looked at since connections began to wait

	drainage   *drainage // nil: it is not drained
	unwanted   int64     // keeper.wanted when it was sent to sleep
	successor  *slot     // for which it is drained
	replaces   *slot     // that is drained when this one is ready
	outdated   reason
	generation int       // of restarts, that the child was started in
	awaited    bool      // a restart waits for what comes of the next child
	cause      cause     // why its end was brought about; "" if it was not
	endBy      time.Time // when it must have ended; zero: its end was not brought about
	stuck      bool      // it has not
	life       time.Time // when the child is to be replaced; zero: never
	luck       float64   // how much less than others, 0 to 1

	memory   *memory // of the child there is, or was last
	over     int     // times in a row that it was over the soft limit
	slow     bool    // it works on a request for too long
	roomless bool    // none is started, because there is no memory for it
}

// merit is what a child is known to have answered.
type merit struct {
	begun   time.Time // not after the child
	answers atomic.Uint64
	last    atomic.Int64 // when the last one began, in ticks
}

// lossWindow is how long before and after a child's end a connection ends because of it.
const lossWindow = time.Second

// losses are the requests that ended with their connections.
type losses struct {
	mu   sync.Mutex
	list []loss // the oldest first
}

type loss struct {
	Request
	at time.Time
}

// mostLosses is how many are kept.
const mostLosses = 256

func (l *losses) note(r Request, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == mostLosses {
		l.list = slices.Delete(l.list, 0, 1)
	}
	l.list = append(l.list, loss{r, at})
}

// take returns those of a child that ended at a time, the oldest request first.
func (l *losses) take(at time.Time) []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Request
	for _, r := range l.list {
		if r.at.Sub(at).Abs() <= lossWindow {
			all = append(all, r.Request)
		}
	}
	l.list = nil
	slices.SortStableFunc(all, func(a, b Request) int { return int(b.Age - a.Age) })
	return all
}

// forget gives up what an instance has.
func (k *keeper) forget(s *slot) {
	k.unwatch(s)
	k.tally.answered += s.merit.Load().answers.Load()
	if s.added {
		k.front.Remove(s.socket.addr)
	}
	k.slots = slices.DeleteFunc(k.slots, func(other *slot) bool { return other == s })
	k.reindex()
	k.executor.do(func() { k.program.shut(s.socket) })
	k.changed = true
}

func (k *keeper) reindex() {
	index := maps.Collect(func(yield func(string, *slot) bool) {
		for _, s := range k.slots {
			if !yield(s.socket.addr, s) {
				return
			}
		}
	})
	k.index.Store(&index)
}

// attend does what there is to do about one instance.
func (k *keeper) attend(s *slot, now time.Time) {
	m := s.machine
	k.hear(s, now)
	if s.child != nil && !s.launched && isClosed(s.child.launched()) {
		k.noteLaunch(s, now)
	}
	if s.child != nil && isClosed(s.child.dead()) {
		if s.quiet.IsZero() {
			s.alive.Store(false)
			s.quiet = now
		}
		if exit, ended := s.child.ended(); ended {
			k.bury(s, now, exit)
		}
	}
	k.checkEnd(s, now)
	if s.death != nil {
		k.judge(s, now)
	}
	switch {
	case m.state == Closed && s.child == nil && s.death == nil:
		k.forget(s)
	case m.state == Draining:
		k.checkDrain(s, now)
	case s.child == nil && (m.state == Waiting || m.state == Broken) && !m.next.IsZero():
		k.respawn(s, now)
	case s.child != nil && m.state.unproven():
		k.checkStart(s, now)
	}
	if s.child != nil && m.state.works() && !s.life.IsZero() {
		k.age(s, now)
	}
}

// allot says how long a child that was begun then may live.
func (k *keeper) allot(s *slot, begun time.Time) {
	s.life = time.Time{}
	if d := k.plan.MaxLifetime; d > 0 {
		s.life = begun.Add(d - time.Duration(s.luck*float64(d)/10))
	}
}

// age has a child replaced that has lived for long enough.
func (k *keeper) age(s *slot, now time.Time) {
	if now.Before(s.life) {
		k.at(s.life)
		return
	}
	k.outdate(s, lifetimeOver)
}

// hear notes what a child has answered.
func (k *keeper) hear(s *slot, now time.Time) {
	n := s.merit.Load().answers.Load()
	if n == 0 || s.ready != nil {
		return // or it was somebody else's: this one gets no requests yet
	}
	if before := s.machine.state; before.unproven() {
		k.step(s, now, served)
		k.come(nil)
		k.gaveUp = false
		if before == Probing {
			k.log.Warn("the command serves again", "instance", s.socket.addr)
		}
		if before == Probing || !k.plan.SpawnBudget.Stop {
			for _, other := range k.slots {
				k.step(other, now, restored)
			}
		}
	}
	if most := k.plan.MaxRequests; most > 0 && n >= uint64(most) && s.machine.state == Serving {
		k.outdate(s, enoughRequests)
	}
}

// kill ends a child because of what it does.
func (k *keeper) kill(s *slot, why cause, how func(process)) {
	if s.ends() {
		return
	}
	s.cause, s.endBy = why, time.Now().Add(endTime)
	how(s.child)
}

// ends reports whether no child lives, or the end of the one that does was brought about.
func (s *slot) ends() bool { return s.child == nil || isClosed(s.child.dead()) || s.cause != "" }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (s *slot) String() string { return fmt.Sprintf("%s (%v)", s.socket.addr, s.machine.state) }

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
	child   process   // nil: none runs
	spawns  int       // children that were started
	diedAt  time.Time // when it was seen to have died
	death   *death    // of the last child, if it was not looked into yet

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
	peeks    int                     // how often it was looked at since connections began to wait

	drainage   *drainage // nil: it is not drained
	unwanted   int64     // keeper.wanted when it was sent to sleep
	successor  *slot     // for which it is drained
	replaces   *slot     // that is drained when this one is ready
	outdated   reason
	generation int       // of restarts, that the child was started in
	awaited    bool      // a restart waits for what comes of the next child
	cause      cause     // why its end was brought about; "" if it was not
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

// open makes an instance.
func (k *keeper) open() (*slot, error) {
	number := 0
	for slices.ContainsFunc(k.slots, func(s *slot) bool { return s.number == number }) {
		number++
	}
	socket, err := k.program.listen(k.plan, number)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	s := &slot{number: number, socket: socket, memory: new(memory), machine: newMachine(k.budget, k.plan.SpawnBudget.Stop, k.random, now)}
	s.merit.Store(&merit{begun: now})
	k.slots = append(k.slots, s)
	k.reindex()
	k.changed = true
	return s, nil
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
	k.program.shut(s.socket)
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
	if s.child != nil && isClosed(s.child.dead()) {
		if s.alive.Swap(false) {
			s.diedAt = now
		}
		if exit, ended := s.child.end(); ended {
			k.bury(s, now, exit)
		}
	}
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

// respawn starts the next child when it is time, and there is room.
func (k *keeper) respawn(s *slot, now time.Time) {
	m := s.machine
	if now.Before(m.next) {
		k.at(m.next)
		return
	}
	if !k.hasRoom() {
		m.next = now.Add(roomEvery)
		s.roomless, s.awaited = true, false
		k.at(m.next)
		return
	}
	if err := k.spawn(s, now); err != nil {
		s.death = &death{exit: Exit{Time: now, Status: -1, Err: err.Error()}, due: now}
		k.changed = true
	}
}

// spawn starts a child.
func (k *keeper) spawn(s *slot, now time.Time) error {
	if s.death != nil {
		k.inquire(s, now) // before the next can die
	}
	// Before the child runs, or its first answer could be missed. The one before is dead.
	k.tally.answered += s.merit.Load().answers.Load()
	s.merit.Store(&merit{begun: now})
	s.outdated, s.cause, s.slow, s.over, s.roomless = "", "", false, 0, false
	s.memory = new(memory) // a sample of the one before may be under way
	s.queueing, s.lookAt, s.peeks = time.Time{}, now, 0
	c, err := k.program.spawn(k.plan, s.socket, k.nudge)
	if err != nil {
		return err
	}
	s.child = c
	s.spawns++
	k.tally.started++
	s.alive.Store(true)
	s.luck = k.random()
	k.allot(s, now)
	s.generation = k.renewal.generation
	k.step(s, now, started)
	if s.added && k.plan.Ready == nil {
		k.expose(s)
	}
	if !s.exposed {
		k.watch(s)
	}
	k.log.Log(k.ctx, k.startLevel(s), "the command is running", "pid", c.pid(), "instance", s.socket.addr)
	return nil
}

// expose has requests sent to an instance.
func (k *keeper) expose(s *slot) {
	if s.exposed {
		return
	}
	if !k.isOpen() && k.wanted.Load() > k.scale.away {
		k.scale.back = k.ticks(time.Now())
	}
	s.exposed = true
	if s.added {
		k.front.Resume(s.socket.addr)
		return
	}
	s.added = true
	if err := k.front.Add(s.socket.addr, s.alive.Load); err != nil {
		k.log.Error("requests cannot be sent to a new instance", "instance", s.socket.addr, "error", err.Error())
	}
}

// isOpen reports whether there is an instance that requests are sent to.
func (k *keeper) isOpen() bool {
	return slices.ContainsFunc(k.slots, func(s *slot) bool { return s.exposed })
}

// conceal has no more sent there. What it returns is closed when no connection is left.
func (k *keeper) conceal(s *slot) <-chan struct{} {
	s.exposed = false
	if !k.isOpen() {
		k.scale.away = k.ticks(time.Now())
	}
	if !s.added {
		nobody := make(chan struct{})
		close(nobody)
		return nobody
	}
	return k.front.Drain(s.socket.addr)
}

// longPause is how long nothing must run at an instance for requests to go to others.
const longPause = 200 * time.Millisecond

// steer has no requests sent where nothing will run for a while, if there are others to
// send them to.
func (k *keeper) steer(now time.Time) {
	if !slices.ContainsFunc(k.slots, func(s *slot) bool { return s.alive.Load() && s.exposed && s.machine.state.works() }) {
		return
	}
	for _, s := range k.slots {
		if s.alive.Load() || !s.exposed {
			continue
		}
		if s.child != nil && now.Sub(s.diedAt) < longPause {
			k.at(s.diedAt.Add(longPause)) // something of it is left yet
			continue
		}
		if s.child != nil || s.pausesUntil().Sub(now) > longPause {
			k.conceal(s)
			k.front.Fail(s.socket.addr)
		}
	}
}

// pausesUntil is when the next child will be started, or later.
func (s *slot) pausesUntil() time.Time {
	m := s.machine
	switch {
	case s.death != nil && !s.death.judged:
		return s.death.exit.Time.Add(firstPause) // if it did not serve, which is likely
	case m.state == Waiting:
		return m.next
	case m.state == Broken && m.next.IsZero():
		return m.since.Add(steady) // another one is tried
	case m.state == Broken:
		return m.next
	}
	return time.Time{}
}

// kill ends a child because of what it does.
func (k *keeper) kill(s *slot, why cause, how func(process)) {
	if s.ends() {
		return
	}
	s.cause = why
	how(s.child)
}

// ends reports whether no child lives, or the end of the one that does was brought about.
func (s *slot) ends() bool { return !s.alive.Load() || s.cause != "" }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (s *slot) String() string { return fmt.Sprintf("%s (%v)", s.socket.addr, s.machine.state) }

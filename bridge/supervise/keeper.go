package supervise

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// program is what is kept running: a real one, or a test's. Its methods may take as long as
// they like, but for spawn.
type program interface {
	// listen makes the socket of that number, which shut closes. The executor calls them.
	listen(p *plan, number int) (*socket, error)
	shut(*socket)
	// spawn makes a child that is to serve a socket. news is called when it runs, when it has
	// died, and when nothing of it is left.
	spawn(p *plan, s *socket, news func()) process
	// accepts waits until a child that nobody else connects to accepts requests.
	accepts(ctx context.Context, s *socket) error
	// queued is how many connections wait to be accepted, if that is known.
	queued(s *socket) (n int, known bool)
	// memory is what all children use, in bytes, if that is known.
	memory() (used uint64, known bool)
}

// process is a child. None of its methods but launch, memory and starved blocks.
type process interface {
	// launch starts it. The executor calls it, once.
	launch()
	// launched is closed when it runs.
	launched() <-chan struct{}
	// pid is 0 as long as there is no process.
	pid() int
	// dead is closed when the child has died, or could not be started.
	dead() <-chan struct{}
	// ended says how it ended, when nothing of it and its group is left.
	ended() (Exit, bool)
	// dump asks it, by a signal, to write what it is at.
	dump(syscall.Signal)
	// stop asks it to end, after a while, and makes it if it does not.
	stop(after time.Duration)
	// kill ends it, and its group, at once.
	kill()
	// lines are the last it wrote.
	lines() []string
	// memory is what it and its group use, in bytes, if that is known, once it runs.
	memory() (used uint64, known bool)
	// starved is how often the kernel has ended something in it for want of memory.
	starved() uint64
}

// keeper keeps the instances of a program. All that is in it belongs to the goroutine of
// run, which looks at everything when anything has happened, but for what is atomic and
// the channels. That goroutine never waits for a file, a process, the kernel or whoever
// reads the log: the executor does, or a task.
type keeper struct {
	program program
	front   Front
	plan    *plan // replaced by Configure
	random  func() float64
	looked  func(now time.Time) // called at every look, for tests; nil: none
	log     *slog.Logger

	nudged chan struct{} // has something when there may be something to do
	asks   chan func()   // what others want to know
	done   chan struct{} // closed when run has ended
	last   sync.Mutex    // held by those who ask after that
	first  chan error    // gets what the first child comes to: nil if it is ready
	tasks  sync.WaitGroup
	ctx    context.Context // of the tasks; ends with run's

	executor *executor
	begun    chan<- error // gets what the first start comes to; nil: it has
	left     []int        // processes that have not ended although they were killed, at the end

	index    atomic.Pointer[map[string]*slot] // by address; never changed, but replaced
	epoch    time.Time                        // what ticks count from
	refusing atomic.Int64                     // until when nothing will run, in ticks; 0: it does
	wanted   atomic.Int64                     // when there was a request last, in ticks
	shy      atomic.Bool                      // the application ends when nobody wants it
	most     atomic.Uint64                    // answers that a child is replaced after; 0: any number
	resting  atomic.Bool                      // an instance is asleep, or is going to be
	dozing   atomic.Bool                      // the next answer is to have everything looked at
	stalled  atomic.Int64                     // since when nobody is answered, in ticks; 0: somebody is

	slots    []*slot
	opening  *opening  // nil: none
	due      time.Time // when there is something to do even if nothing happens; zero: never
	changed  bool      // since the last look: look again
	budget   *budget
	tally    tally
	gaveUp   bool // the log was told that the budget is spent, and no child has served since
	storm    storm
	suspects suspects
	renewal  renewal
	scale    scale
	pressure pressure

	cleanExits  cleanExits
	concurrency concurrency
}

func newKeeper(p program, plan *plan, random func() float64) *keeper {
	k := &keeper{
		program: p, front: plan.Front, plan: plan, random: random, log: plan.Logger.With("command", plan.Command[0]),
		nudged: make(chan struct{}, 1), asks: make(chan func()), done: make(chan struct{}), first: make(chan error, 1),
		budget:   &budget{most: plan.SpawnBudget.Spawns, window: plan.SpawnBudget.Per},
		executor: newExecutor(),
	}
	k.epoch = time.Now()
	k.publish()
	k.index.Store(&map[string]*slot{})
	k.wanted.Store(k.ticks(time.Now()))
	return k
}

// ticks is a time as it can be kept in an atomic, in ns since epoch; never 0. The system's
// clock may be set meanwhile.
func (k *keeper) ticks(t time.Time) int64 {
	if n := int64(t.Sub(k.epoch)); n != 0 {
		return n
	}
	return 1
}

// when is the time that ticks stand for.
func (k *keeper) when(ticks int64) time.Time { return k.epoch.Add(time.Duration(ticks)) }

// publish has others than run see what they need of the plan.
func (k *keeper) publish() {
	k.suspects.configure(k.plan.Quarantine)
	k.shy.Store(k.plan.IdleShutdown > 0)
	k.most.Store(uint64(k.plan.MaxRequests))
}

// nudge has everything looked at.
func (k *keeper) nudge() {
	select {
	case k.nudged <- struct{}{}:
	default: // it will be
	}
}

// at has everything looked at at a time.
func (k *keeper) at(t time.Time) {
	if k.due.IsZero() || t.Before(k.due) {
		k.due = t
	}
}

// ask calls f when nothing changes meanwhile.
func (k *keeper) ask(f func()) {
	answered := make(chan struct{})
	select {
	case k.asks <- func() { defer close(answered); f() }:
		<-answered
	case <-k.done:
		k.last.Lock()
		defer k.last.Unlock()
		f()
	}
}

// find is the instance at an address, nil if there is none any more.
func (k *keeper) find(addr string) *slot { return (*k.index.Load())[addr] }

// run keeps the instances until ctx ends. begun gets what the first start comes to: nil when
// the first children run, or if that takes longer than launchPatience.
func (k *keeper) run(ctx context.Context, begun chan<- error) {
	defer close(k.done)
	k.ctx, k.begun = ctx, begun
	go k.executor.run() // ends with end, or when it can

	if err := k.begin(); err == nil {
		k.loop()
	} else {
		k.begins(err)
	}
	k.end()
}

// begin has the first children started.
func (k *keeper) begin() error {
	for number := range k.plan.Instances {
		socket, err := k.program.listen(k.plan, number)
		if err != nil {
			return err
		}
		s := k.enlist(number, socket)
		if k.plan.Ready == nil {
			k.expose(s)
		}
		k.spawn(s, time.Now())
	}
	return nil
}

func (k *keeper) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		k.look()
		timer.Reset(time.Hour)
		if !k.due.IsZero() {
			timer.Reset(max(time.Until(k.due), 0))
		}
		select {
		case <-k.ctx.Done():
			return
		case f := <-k.asks:
			f()
		case <-k.nudged:
		case <-timer.C:
		}
	}
}

// look does what there is to do.
func (k *keeper) look() {
	for again := true; again; again = k.changed {
		now := time.Now()
		k.due, k.changed = time.Time{}, false
		if k.looked != nil {
			k.looked(now)
		}
		k.checkOpening()
		for _, s := range slices.Clone(k.slots) {
			k.attend(s, now)
		}
		k.checkBegin(now)
		k.steer(now)
		k.breakOrMend(now)
		k.press(now)
		k.unhang(now)
		k.rest(now)
		k.adapt(now)
		k.observe(now)
		k.renew(now)
		k.tell(now)
	}
}

// step has something happen to an instance.
func (k *keeper) step(s *slot, now time.Time, e event) {
	before := s.machine.state
	s.machine.step(now, e)
	if s.machine.state != before {
		k.changed = true
	}
}

// breakOrMend sees to it that of the instances that are broken one is tried, once in a
// while, and that requests are refused while there is none that could answer them.
func (k *keeper) breakOrMend(now time.Time) {
	var broken *slot
	probing, hopeful := false, false
	for _, s := range k.slots {
		switch s.machine.state {
		case Broken:
			if broken == nil || !s.machine.next.IsZero() {
				broken = s
			}
		case Probing:
			probing = true
		case Closed:
		default:
			hopeful = true
		}
	}
	for _, s := range k.slots {
		switch m := s.machine; {
		case m.state != Broken:
		case s != broken || probing:
			m.next = time.Time{}
		case m.next.IsZero():
			m.next = now.Add(k.budget.window)
		}
	}
	if broken == nil || probing || hopeful {
		k.refusing.Store(0)
		return
	}
	k.at(broken.machine.next)
	if k.refusing.Swap(k.ticks(broken.machine.next)) != 0 {
		return
	}
	k.front.Down()
	for _, s := range k.slots {
		if s.added {
			k.front.Fail(s.socket.addr)
		}
	}
	if !k.gaveUp {
		k.gaveUp = true
		k.log.Error("no more processes are started for now: too many have ended; requests are refused", "next_in", broken.machine.next.Sub(now))
	}
}

// closeTime is how long all children have to be gone at the end: they are asked, killed, and
// what has left their groups is killed.
const closeTime = grace + 2*killTime

// end ends all children, those that can be ended.
func (k *keeper) end() {
	now := time.Now()
	if k.begun != nil {
		k.begins(errClosed)
	}
	for _, s := range k.slots {
		if s.child != nil {
			s.cause = closing
			s.child.stop(0)
		}
		k.step(s, now, closed)
	}
	overdue := time.NewTimer(closeTime)
	defer overdue.Stop()
	for expired := false; !expired && slices.ContainsFunc(k.slots, func(s *slot) bool { return !s.isEmpty() }); {
		select {
		case <-k.nudged:
		case f := <-k.asks:
			f()
		case <-overdue.C:
			expired = true
		}
	}
	for _, s := range slices.Clone(k.slots) {
		if s.isEmpty() {
			k.forget(s)
			continue
		}
		k.abandon(s)
	}
	k.cancelOpening()
	if !k.executor.close(killTime) {
		k.log.Error("the end is not waited for: a file system seems not to answer", "directory", k.plan.TempDir)
	}
}

// isEmpty reports whether nothing runs at an instance.
func (s *slot) isEmpty() bool {
	if s.child == nil {
		return true
	}
	_, ended := s.child.ended()
	return ended
}

// Answered, Lost and the like are called by many at the same time.

func (k *keeper) answered(addr, route string) {
	s := k.find(addr)
	if s == nil {
		return
	}
	m := s.merit.Load()
	m.last.Store(k.ticks(time.Now()))
	n := m.answers.Add(1)
	if n == 1 || n == k.most.Load() || k.dozing.Load() && k.dozing.CompareAndSwap(true, false) {
		k.nudge()
	}
	k.suspects.answered(route)
}

func (k *keeper) lost(addr string, r Request, at time.Time) {
	if s := k.find(addr); s != nil {
		s.losses.note(r, at)
	}
}

package supervise

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
	"github.com/sluice-proxy/sluice/bridge/supervise/internal/session"
)

// program is what is kept running: a real one, or a test's. Its methods may take as long as
// they like, but for spawn.
type program interface {
	// listen makes the socket of a number, which closeSocket closes. The executor calls both.
	listen(p *plan, number int) (*proc.Socket, error)
	closeSocket(*proc.Socket)
	// newProcess makes a child that is to serve a socket. notify is called when the child
	// runs, when it has exited, and when nothing of its group is left.
	newProcess(p *plan, s *proc.Socket, notify func()) process
	// accepts waits until a child that nobody else connects to accepts requests.
	accepts(ctx context.Context, s *proc.Socket) error
	// queued is how many connections wait to be accepted, if that is known.
	queued(s *proc.Socket) (n int, known bool)
	// memory is what all children use, in bytes, if that is known.
	memory() (used uint64, known bool)
}

// process is a child. None of its methods but launch, memory and starved blocks.
type process interface {
	// launch starts it. The executor calls it, once.
	Launch()
	// launched is closed when it runs.
	Launched() <-chan struct{}
	// pid is 0 as long as there is no process.
	PID() int
	// dead is closed when the child has died, or could not be started.
	Exited() <-chan struct{}
	// ended says how it ended, when nothing of it and its group is left.
	Reaped() (proc.Exit, bool)
	// dump asks it, by a signal, to write what it is at.
	Dump(syscall.Signal)
	// stop asks it to end, after a while, and makes it if it does not.
	Stop(after time.Duration)
	// kill ends it, and its group, at once.
	Kill()
	// lines are the last it wrote.
	Lines() []string
	// memory is what it and its group use, in bytes, if that is known, once it runs.
	Memory() (used uint64, known bool)
	// starved is how often the kernel has ended something in it for want of memory.
	OOMKills() uint64
}

// keeper keeps the instances of a program. All that is in it belongs to the goroutine of
// run, which looks at everything when anything has happened, but for what is atomic and
// the channels. That goroutine never waits for a file, a process, the kernel or whoever
// reads the log: the executor does, or a task.
type supervisor struct {
	program program
	front   Front
	plan    *plan // replaced by Configure
	random  func() float64
	onPass  func(now time.Time) // called at every look, for tests; nil: none
	log     *slog.Logger

	wakeup      chan struct{} // has something when there may be something to do
	calls       chan func()   // what others want to know
	done        chan struct{} // closed when run has ended
	afterEnd    sync.Mutex    // held by those who ask after that
	firstResult chan error    // gets what the first child comes to: nil if it is ready
	tasks       sync.WaitGroup
	ctx         context.Context // of the tasks; ends with run's

	executor    *executor
	startResult chan<- error // gets what the first start comes to; nil: it has
	leftovers   []int        // processes that have not ended although they were killed, at the end

	index          atomic.Pointer[map[string]*instance] // by address; never changed, but replaced
	epoch          time.Time                            // what ticks count from
	refusingUntil  atomic.Int64                         // until when nothing will run, in ticks; 0: it does
	lastWanted     atomic.Int64                         // when there was a request last, in ticks
	idleShutdownOn atomic.Bool                          // the application ends when nobody wants it
	maxRequests    atomic.Uint64                        // answers that a child is replaced after; 0: any number
	idle           atomic.Bool                          // an instance is asleep, or is going to be
	wakeOnAnswer   atomic.Bool                          // the next answer is to have everything looked at
	stalledSince   atomic.Int64                         // since when nobody is answered, in ticks; 0: somebody is

	instances     []*instance
	creation      *creation // nil: none
	nextPass      time.Time // when there is something to do even if nothing happens; zero: never
	again         bool      // since the last look: look again
	budget        *budget
	counters      counters
	breakerLogged bool // the log was told that the budget is spent, and no child has served since
	crashLoop     crashLoop
	suspects      suspects
	replacement   replacement
	scaling       scaling
	memory        memoryState

	cleanExits  cleanExits
	concurrency concurrency
}

func newSupervisor(p program, plan *plan, random func() float64) *supervisor {
	sup := &supervisor{
		program: p, front: plan.Front, plan: plan, random: random, log: plan.Logger.With("command", plan.Command[0]),
		wakeup: make(chan struct{}, 1), calls: make(chan func()), done: make(chan struct{}), firstResult: make(chan error, 1),
		budget:   &budget{max: plan.SpawnBudget.Spawns, window: plan.SpawnBudget.Per},
		executor: newExecutor(),
	}
	sup.epoch = time.Now()
	sup.publish()
	sup.index.Store(&map[string]*instance{})
	sup.lastWanted.Store(sup.ticks(time.Now()))
	return sup
}

// ticks is a time as it can be kept in an atomic, in ns since epoch; never 0. The system's
// clock may be set meanwhile.
func (sup *supervisor) ticks(t time.Time) int64 {
	if n := int64(t.Sub(sup.epoch)); n != 0 {
		return n
	}
	return 1
}

// when is the time that ticks stand for.
func (sup *supervisor) timeOf(ticks int64) time.Time { return sup.epoch.Add(time.Duration(ticks)) }

// publish has others than run see what they need of the plan.
func (sup *supervisor) publish() {
	sup.suspects.configure(sup.plan.Quarantine)
	sup.idleShutdownOn.Store(sup.plan.IdleShutdown > 0)
	sup.maxRequests.Store(uint64(sup.plan.MaxRequests))
}

// nudge has everything looked at.
func (sup *supervisor) wake() {
	select {
	case sup.wakeup <- struct{}{}:
	default: // it will be
	}
}

// at has everything looked at at a time.
func (sup *supervisor) wakeAt(t time.Time) {
	if sup.nextPass.IsZero() || t.Before(sup.nextPass) {
		sup.nextPass = t
	}
}

// ask calls f when nothing changes meanwhile.
func (sup *supervisor) call(f func()) {
	answered := make(chan struct{})
	select {
	case sup.calls <- func() { defer close(answered); f() }:
		<-answered
	case <-sup.done:
		sup.afterEnd.Lock()
		defer sup.afterEnd.Unlock()
		f()
	}
}

// find is the instance at an address, nil if there is none any more.
func (sup *supervisor) find(addr string) *instance { return (*sup.index.Load())[addr] }

// run keeps the instances until ctx ends. begun gets what the first start comes to: nil when
// the first children run, or if that takes longer than launchPatience.
func (sup *supervisor) run(ctx context.Context, begun chan<- error) {
	defer close(sup.done)
	sup.ctx, sup.startResult = ctx, begun
	go sup.executor.run() // ends with end, or when it can

	if err := sup.startAll(); err == nil {
		sup.loop()
	} else {
		sup.reportStart(err)
	}
	sup.stopAll()
}

// begin has the first children started.
func (sup *supervisor) startAll() error {
	for number := range sup.plan.Instances {
		socket, err := sup.program.listen(sup.plan, number)
		if err != nil {
			return err
		}
		in := sup.newInstance(number, socket)
		if sup.plan.Ready == nil {
			sup.addToRotation(in)
		}
		sup.spawn(in, time.Now())
	}
	return nil
}

func (sup *supervisor) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		sup.maintain()
		timer.Reset(time.Hour)
		if !sup.nextPass.IsZero() {
			timer.Reset(max(time.Until(sup.nextPass), 0))
		}
		select {
		case <-sup.ctx.Done():
			return
		case f := <-sup.calls:
			f()
		case <-sup.wakeup:
		case <-timer.C:
		}
	}
}

// look does what there is to do.
func (sup *supervisor) maintain() {
	for again := true; again; again = sup.again {
		now := time.Now()
		sup.nextPass, sup.again = time.Time{}, false
		if sup.onPass != nil {
			sup.onPass(now)
		}
		sup.checkCreation()
		for _, in := range slices.Clone(sup.instances) {
			sup.reconcile(in, now)
		}
		sup.checkFirstStart(now)
		sup.reroute(now)
		sup.updateBreaker(now)
		sup.enforceMemory(now)
		sup.enforceTimeouts(now)
		sup.idleShutdown(now)
		sup.autoscale(now)
		sup.observeConcurrency(now)
		sup.rollingRestart(now)
		sup.checkCrashLoop(now)
	}
}

// step has something happen to an instance.
func (sup *supervisor) step(in *instance, now time.Time, e event) {
	before := in.machine.state
	in.machine.step(now, e)
	if in.machine.state != before {
		sup.again = true
	}
}

// breakOrMend sees to it that of the instances that are broken one is tried, once in a
// while, and that requests are refused while there is none that could answer them.
func (sup *supervisor) updateBreaker(now time.Time) {
	var broken *instance
	probing, hopeful := false, false
	for _, in := range sup.instances {
		switch in.machine.state {
		case Broken:
			if broken == nil || !in.machine.next.IsZero() {
				broken = in
			}
		case Probing:
			probing = true
		case Closed:
		default:
			hopeful = true
		}
	}
	for _, in := range sup.instances {
		switch m := in.machine; {
		case m.state != Broken:
		case in != broken || probing:
			m.next = time.Time{}
		case m.next.IsZero():
			m.next = now.Add(sup.budget.window)
		}
	}
	if broken == nil || probing || hopeful {
		sup.refusingUntil.Store(0)
		return
	}
	sup.wakeAt(broken.machine.next)
	if sup.refusingUntil.Swap(sup.ticks(broken.machine.next)) != 0 {
		return
	}
	sup.front.Down()
	for _, in := range sup.instances {
		if in.added {
			sup.front.Fail(in.socket.Addr)
		}
	}
	if !sup.breakerLogged {
		sup.breakerLogged = true
		sup.log.Error("no more processes are started for now: too many have ended; requests are refused", "next_in", broken.machine.next.Sub(now))
	}
}

// closeTime is how long all children have to be gone at the end: they are asked, killed, and
// what has left their groups is killed.
const closeTimeout = proc.StopGrace + 2*session.KillTimeout

// end ends all children, those that can be ended.
func (sup *supervisor) stopAll() {
	now := time.Now()
	if sup.startResult != nil {
		sup.reportStart(errClosed)
	}
	for _, in := range sup.instances {
		if in.child != nil {
			in.cause = closing
			in.child.Stop(0)
		}
		sup.step(in, now, closed)
	}
	overdue := time.NewTimer(closeTimeout)
	defer overdue.Stop()
	for expired := false; !expired && slices.ContainsFunc(sup.instances, func(in *instance) bool { return !in.hasEnded() }); {
		select {
		case <-sup.wakeup:
		case f := <-sup.calls:
			f()
		case <-overdue.C:
			expired = true
		}
	}
	for _, in := range slices.Clone(sup.instances) {
		if in.hasEnded() {
			sup.removeInstance(in)
			continue
		}
		sup.abandon(in)
	}
	sup.cancelCreation()
	if !sup.executor.close(session.KillTimeout) {
		sup.log.Error("the end is not waited for: a file system seems not to answer", "directory", sup.plan.TempDir)
	}
}

// isEmpty reports whether nothing runs at an instance.
func (in *instance) hasEnded() bool {
	if in.child == nil {
		return true
	}
	_, ended := in.child.Reaped()
	return ended
}

// Answered, Lost and the like are called by many at the same time.

func (sup *supervisor) answered(addr, route string) {
	in := sup.find(addr)
	if in == nil {
		return
	}
	stats := in.stats.Load()
	stats.lastAnswer.Store(sup.ticks(time.Now()))
	n := stats.answers.Add(1)
	if n == 1 || n == sup.maxRequests.Load() || sup.wakeOnAnswer.Load() && sup.wakeOnAnswer.CompareAndSwap(true, false) {
		sup.wake()
	}
	sup.suspects.answered(route)
}

func (sup *supervisor) lost(addr string, r Request, at time.Time) {
	if in := sup.find(addr); in != nil {
		in.lost.note(r, at)
	}
}

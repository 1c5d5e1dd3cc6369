package supervise

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
	"github.com/sluice-proxy/sluice/bridge/supervise/internal/session"
)

// supervisor keeps the instances of a program running. One goroutine, run, owns all fields
// but the atomic ones and the channels. Whenever something may have changed, it makes a pass:
// it looks at all instances and does what there is to do. It never waits for a file, a
// process, the kernel or a reader of the log: the executor and the tasks do that.
type supervisor struct {
	program program
	front   Front
	plan    *plan // replaced by Configure
	random  func() float64
	onPass  func(now time.Time) // called in each pass, for tests
	log     *slog.Logger

	wakeup      chan struct{} // holds a value when a pass is due
	calls       chan func()   // functions that run between two passes
	done        chan struct{} // closed when run has returned
	afterEnd    sync.Mutex    // held by calls after that
	firstResult chan error    // gets nil when the first child is ready, or why it is not
	tasks       sync.WaitGroup
	ctx         context.Context // of the tasks

	executor    *executor
	startResult chan<- error // gets the result of the first start; nil when it has
	leftovers   []int        // after stopAll: processes that did not end although they were killed

	// For other goroutines.
	index          atomic.Pointer[map[string]*instance] // by address; the map is replaced, never changed
	epoch          time.Time                            // ticks count from here
	refusingUntil  atomic.Int64                         // no child is started until then, in ticks; 0: not so
	lastWanted     atomic.Int64                         // time of the last request, in ticks
	idleShutdownOn atomic.Bool                          // plan.IdleShutdown is set
	maxRequests    atomic.Uint64                        // plan.MaxRequests
	idle           atomic.Bool                          // an instance is asleep, or is being stopped for that: a request must wake the supervisor
	wakeOnAnswer   atomic.Bool                          // the next answer must wake the supervisor
	stalledSince   atomic.Int64                         // since when the application answers no request, in ticks; 0: it answers

	instances     []*instance
	creation      *creation // nil: none
	nextPass      time.Time // a pass is due then even if nothing happens; zero: never
	again         bool      // this pass has changed something: make another at once
	budget        *budget
	counters      counters
	breakerLogged bool // the log says that the breaker is open, and no child has served since
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
		executor: newExecutor(), onPass: func(time.Time) {},
		cleanExits: cleanExits{limit: rate.NewLimiter(rate.Every(time.Minute), 1)},
	}
	sup.epoch = time.Now()
	sup.publish()
	sup.index.Store(&map[string]*instance{})
	sup.lastWanted.Store(sup.ticks(time.Now()))
	return sup
}

// ticks converts a time for an atomic: nanoseconds since epoch, never 0. Like time.Time, and
// unlike Unix time, it is right when the system's clock is set.
func (sup *supervisor) ticks(t time.Time) int64 {
	if n := int64(t.Sub(sup.epoch)); n != 0 {
		return n
	}
	return 1
}

// timeOf is the reverse of ticks.
func (sup *supervisor) timeOf(ticks int64) time.Time { return sup.epoch.Add(time.Duration(ticks)) }

// publish copies what other goroutines need of the plan.
func (sup *supervisor) publish() {
	sup.suspects.configure(sup.plan.Quarantine)
	sup.idleShutdownOn.Store(sup.plan.IdleShutdown > 0)
	sup.maxRequests.Store(uint64(sup.plan.MaxRequests))
}

// wake has run make a pass.
func (sup *supervisor) wake() {
	select {
	case sup.wakeup <- struct{}{}:
	default: // a pass is due already
	}
}

// wakeAt has run make a pass at a time, or before.
func (sup *supervisor) wakeAt(t time.Time) {
	if sup.nextPass.IsZero() || t.Before(sup.nextPass) {
		sup.nextPass = t
	}
}

// call calls f between two passes, or after the last.
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

// find returns the instance at an address; nil if there is none any more.
func (sup *supervisor) find(addr string) *instance { return (*sup.index.Load())[addr] }

// run keeps the instances running until ctx ends. begun gets the result of the first start:
// nil when all children run, or when launchPatience is over.
func (sup *supervisor) run(ctx context.Context, begun chan<- error) {
	defer close(sup.done)
	sup.ctx, sup.startResult = ctx, begun
	go func() { // stopAll ends it, if it can
		// A child gets its death signal (PR_SET_PDEATHSIG) when the thread ends that has started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		sup.executor.run()
	}()
	if err := sup.startAll(); err == nil {
		sup.loop()
	} else {
		sup.reportStart(err)
	}
	sup.stopAll()
}

// startAll starts the first children.
func (sup *supervisor) startAll() error {
	for number := range sup.plan.Instances {
		socket, err := sup.program.listen(sup.plan, number)
		if err != nil {
			return err
		}
		in := sup.newInstance(number, socket)
		if sup.plan.queues() {
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

// maintain makes passes until one changes nothing.
func (sup *supervisor) maintain() {
	for again := true; again; again = sup.again {
		now := time.Now()
		sup.nextPass, sup.again = time.Time{}, false
		sup.onPass(now)
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

// step has an event happen to an instance.
func (sup *supervisor) step(in *instance, now time.Time, e event) {
	before := in.machine.state
	in.machine.step(now, e)
	if in.machine.state != before {
		sup.again = true
	}
}

// closeTimeout is how long stopAll waits for all children: for SIGTERM, for SIGKILL, and for
// what has left their groups.
const closeTimeout = proc.StopGrace + 2*session.KillTimeout

// stopAll stops all children. Those that cannot be killed are in leftovers then.
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
		sup.log.Error("the end is not waited for: a file system seems not to answer", "directory", sup.plan.TempDir, "advice", "see whether the file system of that directory answers")
	}
}

// hasEnded reports whether nothing is left of the child.
func (in *instance) hasEnded() bool {
	if in.child == nil {
		return true
	}
	_, ended := in.child.Reaped()
	return ended
}

// answered and lost are called by many goroutines at once.

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

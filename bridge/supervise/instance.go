package supervise

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
)

// instance is a socket and the children that serve it, one after another. The supervisor's
// goroutine owns all fields but the atomic ones and lost.
type instance struct {
	number      int // the lowest that no other instance has
	socket      *proc.Socket
	machine     *machine
	child       process      // nil: there is none
	pendingExit *pendingExit // of the last child; nil: none, or it was reported

	launched  bool      // the child runs, or has run
	downSince time.Time // since when no child runs; zero: one does
	spawns    int       // children that have run

	afterCleanExit bool  // the last exit was clean
	lastExit       *Exit // the last that was not planned; nil: none

	stats atomic.Pointer[processStats] // of the current or the last child
	alive atomic.Bool                  // a child runs
	lost  lostRequests

	inRotation bool // requests are sent to this instance
	added      bool // Front.Add was called
	failDue    bool // Front.Fail is to be called when nothing is left of the child

	readyDone      <-chan struct{}         // closed when the child is ready; nil: nothing waits for that
	cancelReady    func()                  // ends the waiting
	notReadyReason *atomic.Pointer[string] // why plan.Ready has failed last
	queuedSince    time.Time               // since when connections have waited for the child's first accept; zero: none do
	nextPeek       time.Time               // when the queue is looked at next
	peek           query[queue]            // looks at the queue
	peeks          int                     // looks since connections began to wait

	drainWait     *drainWait // nil: not draining
	wantedAtSleep int64      // supervisor.lastWanted when the child was stopped for idleness
	successor     *instance  // the instance for which this one is drained
	replaces      *instance  // the instance that is drained when this one is ready
	replaceReason reason
	generation    int       // replacement.generation when the child was started
	forRestart    bool      // a restart waits until the next child is ready, or fails
	cause         Cause     // why the child was stopped or killed; "" if it was not
	stopBy        time.Time // when nothing may be left of the child; zero: it was not told to end
	stuck         bool      // stopBy is over, and the child is there
	expiresAt     time.Time // when MaxLifetime is over for the child; zero: never
	jitter        float64   // takes up to a tenth off MaxLifetime; 0 to 1

	memory   childMemory // of the current or the last child
	overSoft int         // samples in a row above the soft limit
	overtime bool        // a request has taken longer than MaxTime
	noRoom   bool        // no child is started, because there is no memory for one
}

// processStats is what a child has answered.
type processStats struct {
	since      time.Time // not after the child's start
	answers    atomic.Uint64
	lastAnswer atomic.Int64 // when the last answer began, in ticks
}

// removeInstance removes an instance whose child has ended.
func (sup *supervisor) removeInstance(in *instance) {
	sup.stopAwaitingReady(in)
	sup.counters.answered += in.stats.Load().answers.Load()
	if in.added {
		sup.front.Remove(in.socket.Addr)
	}
	sup.instances = slices.DeleteFunc(sup.instances, func(other *instance) bool { return other == in })
	sup.reindex()
	sup.executor.do(func() { sup.program.closeSocket(in.socket) })
	sup.again = true
}

func (sup *supervisor) reindex() {
	index := make(map[string]*instance, len(sup.instances))
	for _, in := range sup.instances {
		index[in.socket.Addr] = in
	}
	sup.index.Store(&index)
}

// reconcile does what there is to do about one instance.
func (sup *supervisor) reconcile(in *instance, now time.Time) {
	m := in.machine
	sup.noteAnswers(in, now)
	if in.child != nil && !in.launched && isClosed(in.child.Launched()) {
		sup.noteLaunch(in, now)
	}
	if in.child != nil && isClosed(in.child.Exited()) {
		if in.downSince.IsZero() {
			in.alive.Store(false)
			in.downSince = now
		}
		if exit, ended := in.child.Reaped(); ended {
			sup.noteExit(in, now, exit)
		}
	}
	sup.checkStop(in, now)
	if in.pendingExit != nil {
		sup.classifyExit(in, now)
	}
	switch {
	case m.state == stateClosed && in.child == nil && in.pendingExit == nil:
		sup.removeInstance(in)
	case m.state == stateDraining:
		sup.checkDrain(in, now)
	case in.child == nil && (m.state == stateWaiting || m.state == stateBroken) && !m.next.IsZero():
		sup.respawn(in, now)
	case in.child != nil && m.state.isUnproven():
		sup.checkStart(in, now)
	}
	if in.child != nil && m.state.takesRequests() && !in.expiresAt.IsZero() {
		sup.checkLifetime(in, now)
	}
}

// setLifetime sets until when a child that was started then may run.
func (sup *supervisor) setLifetime(in *instance, begun time.Time) {
	in.expiresAt = time.Time{}
	if d := sup.plan.MaxLifetime; d > 0 {
		in.expiresAt = begun.Add(d - time.Duration(in.jitter*float64(d)/10))
	}
}

// checkLifetime has a child replaced when its lifetime is over.
func (sup *supervisor) checkLifetime(in *instance, now time.Time) {
	if now.Before(in.expiresAt) {
		sup.wakeAt(in.expiresAt)
		return
	}
	sup.markForReplacement(in, maxLifetimeReached)
}

// noteAnswers looks at what a child has answered.
func (sup *supervisor) noteAnswers(in *instance, now time.Time) {
	n := in.stats.Load().answers.Load()
	if n == 0 || in.readyDone != nil {
		return // a child that gets no requests yet has answered none: they were for the one before
	}
	if before := in.machine.state; before.isUnproven() {
		sup.step(in, now, served)
		sup.reportFirst(nil)
		sup.breakerLogged = false
		if before == stateProbing {
			sup.log.Warn("the command serves again", "instance", in.socket.Addr)
		}
		if before == stateProbing || !sup.plan.SpawnBudget.Stop {
			for _, other := range sup.instances {
				sup.step(other, now, breakerClosed)
			}
		}
	}
	if most := sup.plan.MaxRequests; most > 0 && n >= uint64(most) && in.machine.state == stateServing {
		sup.markForReplacement(in, maxRequestsReached)
	}
}

// kill ends a child because of what it does, in the way that how says.
func (sup *supervisor) kill(in *instance, why Cause, how func(process)) {
	if in.ends() {
		return
	}
	in.cause, in.stopBy = why, time.Now().Add(stopTimeout)
	how(in.child)
}

// ends reports whether no child runs, or the one that does was told to end.
func (in *instance) ends() bool {
	return in.child == nil || isClosed(in.child.Exited()) || in.cause != ""
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (in *instance) String() string { return fmt.Sprintf("%s (%v)", in.socket.Addr, in.machine.state) }

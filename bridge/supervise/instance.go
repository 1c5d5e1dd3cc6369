package supervise

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
)

// slot is one instance: a socket, and the child that serves it, one after another.
type instance struct {
	number      int // the lowest that no other has
	socket      *proc.Socket
	machine     *machine
	child       process      // nil: there is none
	pendingExit *pendingExit // of the last child, if it was not looked into yet

	launched  bool      // the child runs, or did
	downSince time.Time // since when no child runs: it has died, or is being started; zero: one does
	spawns    int       // children that ran

	afterCleanExit bool  // the last child's exit was clean
	lastExit       *Exit // that was none of our doing, or because of what it did; nil: none

	stats atomic.Pointer[processStats] // of the child there is, or was last
	alive atomic.Bool                  // a child runs
	lost  lostRequests

	inRotation bool // requests are sent here
	added      bool // Front knows of it

	readyDone      <-chan struct{}         // closed when the child is ready; nil: nobody finds out
	cancelReady    func()                  // ends that
	notReadyReason *atomic.Pointer[string] // why it was not, the last time; nil: nobody has asked
	queuedSince    time.Time               // since when connections have waited for a child to accept the first; zero: none do
	nextPeek       time.Time               // when that is looked at next
	peek           query[queue]            // looks at it
	peeks          int                     // how often it was looked at since connections began to wait

	drainWait     *drainWait // nil: it is not drained
	wantedAtSleep int64      // keeper.wanted when it was sent to sleep
	successor     *instance  // for which it is drained
	replaces      *instance  // that is drained when this one is ready
	replaceReason reason
	generation    int       // of restarts, that the child was started in
	forRestart    bool      // a restart waits for what comes of the next child
	cause         cause     // why its end was brought about; "" if it was not
	stopBy        time.Time // when it must have ended; zero: its end was not brought about
	stuck         bool      // it has not
	expiresAt     time.Time // when the child is to be replaced; zero: never
	jitter        float64   // how much less than others, 0 to 1

	memory   *memorySample // of the child there is, or was last
	overSoft int           // times in a row that it was over the soft limit
	overtime bool          // it works on a request for too long
	noRoom   bool          // none is started, because there is no memory for it
}

// merit is what a child is known to have answered.
type processStats struct {
	since   time.Time // not after the child
	answers atomic.Uint64
	lastAnswer    atomic.Int64 // when the last one began, in ticks
}

// lossWindow is how long before and after a child's end a connection ends because of it.
const lossWindow = time.Second

// losses are the requests that ended with their connections.
type lostRequests struct {
	mu   sync.Mutex
	list []lostRequest // the oldest first
}

type lostRequest struct {
	Request
	at time.Time
}

// mostLosses is how many are kept.
const maxLost = 256

func (l *lostRequests) note(r Request, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == maxLost {
		l.list = slices.Delete(l.list, 0, 1)
	}
	l.list = append(l.list, lostRequest{r, at})
}

// take returns those of a child that ended at a time, the oldest request first.
func (l *lostRequests) take(at time.Time) []Request {
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
	index := maps.Collect(func(yield func(string, *instance) bool) {
		for _, in := range sup.instances {
			if !yield(in.socket.Addr, in) {
				return
			}
		}
	})
	sup.index.Store(&index)
}

// attend does what there is to do about one instance.
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
	case m.state == Closed && in.child == nil && in.pendingExit == nil:
		sup.removeInstance(in)
	case m.state == Draining:
		sup.checkDrain(in, now)
	case in.child == nil && (m.state == Waiting || m.state == Broken) && !m.next.IsZero():
		sup.respawn(in, now)
	case in.child != nil && m.state.isUnproven():
		sup.checkStart(in, now)
	}
	if in.child != nil && m.state.takesRequests() && !in.expiresAt.IsZero() {
		sup.checkLifetime(in, now)
	}
}

// allot says how long a child that was begun then may live.
func (sup *supervisor) setLifetime(in *instance, begun time.Time) {
	in.expiresAt = time.Time{}
	if d := sup.plan.MaxLifetime; d > 0 {
		in.expiresAt = begun.Add(d - time.Duration(in.jitter*float64(d)/10))
	}
}

// age has a child replaced that has lived for long enough.
func (sup *supervisor) checkLifetime(in *instance, now time.Time) {
	if now.Before(in.expiresAt) {
		sup.wakeAt(in.expiresAt)
		return
	}
	sup.markForReplacement(in, maxLifetimeReached)
}

// hear notes what a child has answered.
func (sup *supervisor) noteAnswers(in *instance, now time.Time) {
	n := in.stats.Load().answers.Load()
	if n == 0 || in.readyDone != nil {
		return // or it was somebody else's: this one gets no requests yet
	}
	if before := in.machine.state; before.isUnproven() {
		sup.step(in, now, served)
		sup.reportFirst(nil)
		sup.breakerLogged = false
		if before == Probing {
			sup.log.Warn("the command serves again", "instance", in.socket.Addr)
		}
		if before == Probing || !sup.plan.SpawnBudget.Stop {
			for _, other := range sup.instances {
				sup.step(other, now, breakerClosed)
			}
		}
	}
	if most := sup.plan.MaxRequests; most > 0 && n >= uint64(most) && in.machine.state == Serving {
		sup.markForReplacement(in, maxRequestsReached)
	}
}

// kill ends a child because of what it does.
func (sup *supervisor) kill(in *instance, why cause, how func(process)) {
	if in.ends() {
		return
	}
	in.cause, in.stopBy = why, time.Now().Add(stopTimeout)
	how(in.child)
}

// ends reports whether no child lives, or the end of the one that does was brought about.
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

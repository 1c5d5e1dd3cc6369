package supervise

import (
	"errors"
	"time"

	"github.com/sluice-proxy/sluice/bridge/events"
)

// launchPatience is how long Start waits for the first children to run. After that their start
// goes on without Start.
const launchPatience = 5 * time.Second

// respawn starts the next child when that is due and there is memory for one.
func (sup *supervisor) respawn(in *instance, now time.Time) {
	m := in.machine
	if now.Before(m.next) {
		sup.wakeAt(m.next)
		return
	}
	if !sup.hasRoom() {
		m.next = now.Add(roomInterval)
		in.noRoom, in.forRestart = true, false
		sup.wakeAt(m.next)
		return
	}
	sup.spawn(in, now)
}

// spawn has the executor start a child. A later pass finds that it runs or has exited.
func (sup *supervisor) spawn(in *instance, now time.Time) {
	if in.pendingExit != nil {
		sup.reportExit(in, now) // before the next one can exit
	}
	// This is before the child runs, or its first answer would be missed.
	sup.counters.answered += in.stats.Load().answers.Load()
	in.stats.Store(&processStats{since: now})
	in.replaceReason, in.cause, in.overtime, in.overSoft, in.noRoom = "", "", false, 0, false
	in.memory, in.failDue = childMemory{}, false
	in.queuedSince, in.nextPeek, in.peeks, in.peek = time.Time{}, now, 0, query[queue]{}
	in.child, in.launched, in.downSince = sup.program.newProcess(sup.plan, in.socket, sup.wake), false, now
	in.jitter, in.expiresAt = sup.random(), time.Time{}
	in.generation = sup.replacement.generation
	sup.step(in, now, started)
	sup.executor.do(in.child.Launch)
}

// noteLaunch takes note that a child runs.
func (sup *supervisor) noteLaunch(in *instance, now time.Time) {
	in.launched = true
	in.spawns++
	sup.counters.started++
	if isClosed(in.child.Exited()) {
		return // it has exited already
	}
	sup.step(in, now, running)
	sup.setLifetime(in, now)
	in.alive.Store(true)
	in.downSince = time.Time{}
	sup.again = true
	if !in.machine.state.isUnproven() {
		return // the child is to end
	}
	if in.added && sup.plan.queues() {
		sup.addToRotation(in)
	}
	if !in.inRotation {
		sup.awaitReady(in)
	}
	sup.tell(in, events.Event{Kind: events.Start, PID: in.child.PID(), Text: "A process was started."})
	sup.log.Log(sup.ctx, sup.startLevel(in), "the command is running", "pid", in.child.PID(), "instance", in.socket.Addr)
}

// reportStart gives Start the result of the first start, once.
func (sup *supervisor) reportStart(err error) {
	if sup.startResult != nil {
		sup.startResult <- err
		sup.startResult = nil
	}
}

// checkFirstStart checks whether the first children run.
func (sup *supervisor) checkFirstStart(now time.Time) {
	if sup.startResult == nil {
		return
	}
	for _, in := range sup.instances {
		if in.launched {
			continue
		}
		if patience := sup.epoch.Add(launchPatience); now.Before(patience) {
			sup.wakeAt(patience)
			return
		}
		sup.log.Warn("the command is being started, and does not run yet", "instance", in.socket.Addr, "for", launchPatience, "reason", errNotLaunched.Error(), "advice", "see whether the file system of the command answers")
		break
	}
	sup.reportStart(nil)
}

// errNotLaunched is the usual cause why a child does not begin to run.
var errNotLaunched = errors.New("it has not been executed yet (does the file system answer that the command and its working directory are on?)")

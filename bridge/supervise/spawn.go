package supervise

import (
	"errors"
	"time"
)

// launchPatience is how long Start waits for the first children to run. What takes longer
// goes on without being waited for.
const launchPatience = 5 * time.Second

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
	k.spawn(s, now)
}

// spawn has a child started. What comes of that is seen later: it runs, or is dead.
func (k *keeper) spawn(s *slot, now time.Time) {
	if s.death != nil {
		k.inquire(s, now) // before the next can die
	}
	// Before the child runs, or its first answer could be missed. The one before is dead.
	k.tally.answered += s.merit.Load().answers.Load()
	s.merit.Store(&merit{begun: now})
	s.outdated, s.cause, s.slow, s.over, s.roomless = "", "", false, 0, false
	s.memory = new(memory) // a sample of the one before may be under way
	s.queueing, s.lookAt, s.peeks, s.peeking = time.Time{}, now, 0, errand[queue]{}
	s.child, s.launched, s.quiet = k.program.spawn(k.plan, s.socket, k.nudge), false, now
	s.luck, s.life = k.random(), time.Time{}
	s.generation = k.renewal.generation
	k.step(s, now, started)
	k.executor.do(s.child.launch)
}

// noteLaunch takes note of a child that runs now.
func (k *keeper) noteLaunch(s *slot, now time.Time) {
	s.launched = true
	s.spawns++
	k.tally.started++
	if isClosed(s.child.dead()) {
		return // already
	}
	k.step(s, now, executed)
	k.allot(s, now)
	s.alive.Store(true)
	s.quiet = time.Time{}
	k.changed = true
	if !s.machine.state.unproven() {
		return // it is to end
	}
	if s.added && k.plan.Ready == nil {
		k.expose(s)
	}
	if !s.exposed {
		k.watch(s)
	}
	k.log.Log(k.ctx, k.startLevel(s), "the command is running", "pid", s.child.pid(), "instance", s.socket.addr)
}

// begins tells Start what the first start has come to.
func (k *keeper) begins(err error) {
	if k.begun != nil {
		k.begun <- err
		k.begun = nil
	}
}

// checkBegin sees whether the first children run.
func (k *keeper) checkBegin(now time.Time) {
	if k.begun == nil {
		return
	}
	for _, s := range k.slots {
		if s.launched {
			continue
		}
		if patience := k.epoch.Add(launchPatience); now.Before(patience) {
			k.at(patience)
			return
		}
		k.log.Warn("the command is being started, and does not run yet", "instance", s.socket.addr, "for", launchPatience, "reason", errNotLaunched.Error())
		break
	}
	k.begins(nil)
}

// errNotLaunched is what may be wrong with a child that does not begin to run.
var errNotLaunched = errors.New("it has not been executed yet (does the file system answer that the command and its working directory are on?)")

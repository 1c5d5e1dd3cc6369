package supervise

import (
	"slices"
	"time"
)

// idleShutdown stops all children when there was no request for plan.IdleShutdown, and starts
// them with the next request.
func (sup *supervisor) idleShutdown(now time.Time) {
	if sup.plan.IdleShutdown == 0 {
		sup.endSleep(now)
		return
	}
	wanted := sup.lastWanted.Load()
	idle := false
	for _, in := range sup.instances {
		if in.sleeps() && in.wantedAtSleep != wanted {
			sup.cancelDrain(in, now, requested)
		}
		idle = idle || in.sleeps()
	}
	sup.idle.Store(idle)
	if wanted != sup.lastWanted.Load() {
		sup.again = true // the request may have come before idle was set
	}
	if !slices.ContainsFunc(sup.instances, func(in *instance) bool { return in.machine.state.takesRequests() }) {
		return
	}
	due := sup.timeOf(max(wanted, sup.scaling.availableSince)).Add(sup.plan.IdleShutdown)
	switch {
	case now.Before(due):
		sup.wakeAt(due)
		return
	case slices.ContainsFunc(sup.instances, func(in *instance) bool { return in.readyDone != nil || in.child != nil && !in.launched }):
		return // a request may wait for the child
	case sup.front.Load() != Load{} || slices.ContainsFunc(sup.instances, (*instance).inTransition):
		sup.wakeAt(now.Add(checkInterval))
		return
	}
	sup.idle.Store(true)
	for _, in := range sup.instances {
		if in.machine.state.takesRequests() {
			in.wantedAtSleep = wanted
			sup.log.Info("there was no request for a while; the command is ended until there is one", "instance", in.socket.Addr)
			sup.drain(in, now, goIdle)
		}
	}
}

// endSleep wakes what went to sleep before IdleShutdown was set to 0. No request would.
func (sup *supervisor) endSleep(now time.Time) {
	for _, in := range sup.instances {
		if in.sleeps() {
			sup.cancelDrain(in, now, requested)
		}
	}
}

// sleeps reports whether the instance is asleep, or is being stopped for that.
func (in *instance) sleeps() bool {
	m := in.machine
	return m.state == stateAsleep || (m.state == stateDraining || m.state == stateEnding) && m.drainReason == goIdle
}

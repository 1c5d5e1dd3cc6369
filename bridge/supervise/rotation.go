package supervise

import (
	"slices"
	"time"
)

// expose has requests sent to an instance.
func (sup *supervisor) addToRotation(in *instance) {
	if in.inRotation {
		return
	}
	if !sup.anyInRotation() && sup.lastWanted.Load() > sup.scaling.unavailableSince {
		sup.scaling.availableSince = sup.ticks(time.Now())
	}
	in.inRotation = true
	if in.added {
		sup.front.Resume(in.socket.Addr)
		return
	}
	in.added = true
	if err := sup.front.Add(in.socket.Addr, in.alive.Load); err != nil {
		sup.log.Error("requests cannot be sent to a new instance", "instance", in.socket.Addr, "error", err.Error())
	}
}

// isOpen reports whether there is an instance that requests are sent to.
func (sup *supervisor) anyInRotation() bool {
	return slices.ContainsFunc(sup.instances, func(in *instance) bool { return in.inRotation })
}

// conceal has no more sent there. What it returns is closed when no connection is left.
func (sup *supervisor) removeFromRotation(in *instance) <-chan struct{} {
	in.inRotation = false
	if !sup.anyInRotation() {
		sup.scaling.unavailableSince = sup.ticks(time.Now())
	}
	if !in.added {
		nobody := make(chan struct{})
		close(nobody)
		return nobody
	}
	return sup.front.Drain(in.socket.Addr)
}

// longPause is how long nothing must run at an instance for requests to go to others.
const rerouteAfter = 200 * time.Millisecond

// steer has no requests sent where nothing will run for a while, if there are others to
// send them to.
func (sup *supervisor) reroute(now time.Time) {
	if !slices.ContainsFunc(sup.instances, func(in *instance) bool { return in.alive.Load() && in.inRotation && in.machine.state.takesRequests() }) {
		return
	}
	for _, in := range sup.instances {
		if in.alive.Load() || !in.inRotation {
			continue
		}
		if in.child != nil && now.Sub(in.downSince) < rerouteAfter {
			sup.wakeAt(in.downSince.Add(rerouteAfter)) // something of it is left yet, or it is being started
			continue
		}
		if in.child == nil && in.downUntil().Sub(now) <= rerouteAfter {
			continue
		}
		sup.removeFromRotation(in)
		if in.child == nil || isClosed(in.child.Exited()) {
			sup.front.Fail(in.socket.Addr) // one that is being started may read it any moment
		}
	}
}

// pausesUntil is when the next child will be started, or later.
func (in *instance) downUntil() time.Time {
	m := in.machine
	switch {
	case in.pendingExit != nil && !in.pendingExit.classified:
		return in.pendingExit.exit.Time.Add(minBackoff) // if it did not serve, which is likely
	case m.state == Waiting:
		return m.next
	case m.state == Broken && m.next.IsZero():
		return m.since.Add(steadyLife) // another one is tried
	case m.state == Broken:
		return m.next
	}
	return time.Time{}
}

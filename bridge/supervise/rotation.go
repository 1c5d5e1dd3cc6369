package supervise

import (
	"slices"
	"time"
)

// addToRotation has requests sent to an instance.
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
		sup.log.Error("requests cannot be sent to a new instance", "instance", in.socket.Addr, "error", err.Error(), "advice", "restart Sluice; this is a fault of it")
	}
}

// anyInRotation reports whether requests are sent to any instance.
func (sup *supervisor) anyInRotation() bool {
	return slices.ContainsFunc(sup.instances, func(in *instance) bool { return in.inRotation })
}

// removeFromRotation has no more requests sent to an instance. It returns a channel that is
// closed when no connection to the instance is left.
func (sup *supervisor) removeFromRotation(in *instance) <-chan struct{} {
	in.inRotation = false
	if !sup.anyInRotation() {
		sup.scaling.unavailableSince = sup.ticks(time.Now())
	}
	if !in.added {
		done := make(chan struct{})
		close(done)
		return done
	}
	return sup.front.Drain(in.socket.Addr)
}

// rerouteAfter is how long an instance must be without a running child for its requests to go
// to others.
const rerouteAfter = 200 * time.Millisecond

// reroute takes instances out of the rotation whose next child will not run for a while, as
// long as another instance serves.
func (sup *supervisor) reroute(now time.Time) {
	if !slices.ContainsFunc(sup.instances, func(in *instance) bool { return in.alive.Load() && in.inRotation && in.machine.state.takesRequests() }) {
		return
	}
	for _, in := range sup.instances {
		if in.alive.Load() || !in.inRotation && !in.failDue {
			continue
		}
		if in.child != nil && now.Sub(in.downSince) < rerouteAfter {
			sup.wakeAt(in.downSince.Add(rerouteAfter)) // the last child is not reaped, or the next is being started
			continue
		}
		if in.child == nil && in.downUntil().Sub(now) <= rerouteAfter {
			continue
		}
		if in.inRotation {
			sup.removeFromRotation(in)
			in.failDue = in.child == nil || isClosed(in.child.Exited()) // a child that is being started may read its requests any moment
		}
		if in.failDue && in.child == nil { // before, what is left of its group may have read requests
			in.failDue = false
			sup.front.Fail(in.socket.Addr)
		}
	}
}

// downUntil is the earliest time at which the next child is started.
func (in *instance) downUntil() time.Time {
	m := in.machine
	switch {
	case in.pendingExit != nil && !in.pendingExit.classified:
		return in.pendingExit.exit.Time.Add(minBackoff) // which it is if the child has not served, as is likely
	case m.state == stateWaiting:
		return m.next
	case m.state == stateBroken && m.next.IsZero():
		return m.since.Add(steadyLife) // another instance is tried
	case m.state == stateBroken:
		return m.next
	}
	return time.Time{}
}

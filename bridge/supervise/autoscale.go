package supervise

import (
	"slices"
	"time"
)

const (
	// One more instance is started when requests have waited at each check for scaleUpAfter, and
	// the last one has been ready for as long.
	scaleUpAfter = 5 * time.Second
	// An instance is stopped when one less would have been enough for scaleDownAfter, with a
	// quarter to spare.
	scaleDownAfter = time.Minute
)

// scaling is what decides about the number of instances.
type scaling struct {
	nextCheck        time.Time
	waitingSince     time.Time // since when requests wait; zero: none does
	surplusSince     time.Time // since when one instance less is enough; zero: it is not
	growing          *instance // the last one that was added, until it is ready
	pending          bool      // the number is to change when no instance is in transition
	unavailableSince int64     // since when, the last time, there was no instance in the rotation, in ticks
	availableSince   int64     // since when there is one again, if there was a request meanwhile, in ticks
}

// autoscale starts and stops instances, as many as are needed.
func (sup *supervisor) autoscale(now time.Time) {
	sc := &sup.scaling
	n := len(sup.instances)
	if n == sup.plan.Instances && n == sup.plan.MaxInstances {
		sc.pending = false
		return
	}
	moving := sup.creation != nil || slices.ContainsFunc(sup.instances, (*instance).inTransition)
	if now.Before(sc.nextCheck) && (moving || !sc.pending) {
		sup.wakeAt(sc.nextCheck)
		return
	}
	sc.nextCheck = now.Add(checkInterval)
	sup.wakeAt(sc.nextCheck)
	if sc.growing != nil && sc.growing.machine.state == stateStarting {
		sc.pending = false
		return
	}
	sc.growing = nil
	change := sup.nextChange(now)
	if sc.pending = change != nil && moving; change != nil && !moving {
		change(now)
	}
}

// nextChange looks at the load, and returns how the number of instances is to change; nil: not
// at all.
func (sup *supervisor) nextChange(now time.Time) func(now time.Time) {
	sc := &sup.scaling
	n := 0 // instances that are not in transition
	for _, in := range sup.instances {
		if !in.inTransition() {
			n++
		}
	}
	load := sup.front.Load()
	if load.Waiting == 0 {
		sc.waitingSince = time.Time{}
	} else if sc.waitingSince.IsZero() {
		sc.waitingSince = now
	}
	if 4*load.InFlight > 3*(n-1)*sup.plan.Workers || load.Waiting > 0 {
		sc.surplusSince = time.Time{}
	} else if sc.surplusSince.IsZero() {
		sc.surplusSince = now
	}
	switch {
	case n < sup.plan.Instances:
		return sup.addInstance
	case n > sup.plan.MaxInstances:
		return func(now time.Time) { sup.retire(sup.instances[len(sup.instances)-1], now) }
	case n < sup.plan.MaxInstances && !sc.waitingSince.IsZero() && now.Sub(sc.waitingSince) >= scaleUpAfter:
		return sup.scaleUp
	case n > sup.plan.Instances && !sc.surplusSince.IsZero() && now.Sub(sc.surplusSince) >= scaleDownAfter:
		return sup.scaleDown
	}
	return nil
}

func (sup *supervisor) scaleUp(now time.Time) {
	sup.scaling.waitingSince = time.Time{}
	if sup.allReady() {
		sup.addInstance(now)
	}
}

// addInstance starts one more instance.
func (sup *supervisor) addInstance(now time.Time) {
	if !sup.hasRoom() {
		return
	}
	sup.createInstance(func(in *instance, err error) {
		if err != nil {
			sup.log.Error("starting one more instance failed", "error", err.Error(), "advice", "see what the process has written above; it is tried again")
			return
		}
		sup.spawn(in, time.Now())
		sup.scaling.growing = in
		sup.log.Info("one more instance", "instance", in.socket.Addr, "instances", len(sup.instances))
	})
}

// allReady reports whether all instances are ready or serve.
func (sup *supervisor) allReady() bool {
	return !slices.ContainsFunc(sup.instances, func(in *instance) bool { return in.machine.state != stateServing && in.machine.state != stateReady })
}

// scaleDown stops an instance that there is no memory for, or else the last one.
func (sup *supervisor) scaleDown(now time.Time) {
	sup.scaling.surplusSince = time.Time{}
	if i := slices.IndexFunc(sup.instances, func(in *instance) bool { return in.noRoom }); i >= 0 {
		sup.retire(sup.instances[i], now)
		return
	}
	if !sup.allReady() {
		return
	}
	in := sup.instances[len(sup.instances)-1]
	sup.log.Info("fewer requests: one instance less", "instance", in.socket.Addr, "instances", len(sup.instances)-1)
	sup.retire(in, now)
}

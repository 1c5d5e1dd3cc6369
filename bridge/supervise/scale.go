package supervise

import (
	"slices"
	"time"
)

const (
	// growAfter is how long requests must have waited, at every look, for one more instance
	// to be started, and it must be so long since the last was ready.
	growAfter = 5 * time.Second
	// shrinkAfter is how long one less must have been enough, with a quarter to spare.
	shrinkAfter = time.Minute
)

// scale is how many instances there should be.
type scale struct {
	lookAt  time.Time
	waited  time.Time // since when requests have waited; zero: they do not
	ample   time.Time // since when one instance less would be enough; zero: it would not
	growing *slot     // that is being started
	away    int64     // since when there has been no instance to send requests to, in ticks
	back    int64     // since when there is one again, if somebody had wanted one, in ticks
}

// adapt starts and ends instances, as many as are needed.
func (k *keeper) adapt(now time.Time) {
	a := &k.scale
	n := len(k.slots)
	if n == k.plan.Instances && n == k.plan.MaxInstances {
		return
	}
	if now.Before(a.lookAt) {
		k.at(a.lookAt)
		return
	}
	a.lookAt = now.Add(lookEvery)
	k.at(a.lookAt)
	if a.growing != nil && a.growing.machine.state == Starting {
		return
	}
	a.growing = nil
	if slices.ContainsFunc(k.slots, (*slot).moves) {
		return
	}
	load := k.front.Load()
	if load.Waiting == 0 {
		a.waited = time.Time{}
	} else if a.waited.IsZero() {
		a.waited = now
	}
	if 4*load.InFlight > 3*(n-1)*k.plan.Workers || load.Waiting > 0 {
		a.ample = time.Time{}
	} else if a.ample.IsZero() {
		a.ample = now
	}
	switch {
	case n < k.plan.Instances:
		k.add(now)
	case n > k.plan.MaxInstances:
		k.retire(k.slots[n-1], now)
	case n < k.plan.MaxInstances && !a.waited.IsZero() && now.Sub(a.waited) >= growAfter:
		k.grow(now)
	case n > k.plan.Instances && !a.ample.IsZero() && now.Sub(a.ample) >= shrinkAfter:
		k.shrink(now)
	}
}

func (k *keeper) grow(now time.Time) {
	k.scale.waited = time.Time{}
	if k.allAtWork() {
		k.add(now)
	}
}

// add starts one more instance.
func (k *keeper) add(now time.Time) {
	if !k.hasRoom() {
		return
	}
	s, err := k.open()
	if err == nil {
		err = k.spawn(s, now)
	}
	if err != nil {
		k.log.Error("starting one more instance failed", "error", err.Error())
		if s != nil {
			k.step(s, now, closed)
		}
		return
	}
	k.scale.growing = s
	k.log.Info("one more instance", "instance", s.socket.addr, "instances", len(k.slots))
}

// allAtWork reports whether every instance does what it can.
func (k *keeper) allAtWork() bool {
	return !slices.ContainsFunc(k.slots, func(s *slot) bool { return s.machine.state != Serving && s.machine.state != Ready })
}

// shrink ends an instance that there is no room for, or the one that was started last.
func (k *keeper) shrink(now time.Time) {
	k.scale.ample = time.Time{}
	if i := slices.IndexFunc(k.slots, func(s *slot) bool { return s.roomless }); i >= 0 {
		k.retire(k.slots[i], now)
		return
	}
	if !k.allAtWork() {
		return
	}
	s := k.slots[len(k.slots)-1]
	k.log.Info("fewer requests: one instance less", "instance", s.socket.addr, "instances", len(k.slots)-1)
	k.retire(s, now)
}

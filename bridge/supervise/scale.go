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
	pending bool      // something is to be done about their number, when none is being replaced
	away    int64     // since when there has been no instance to send requests to, in ticks
	back    int64     // since when there is one again, if somebody had wanted one, in ticks
}

// adapt starts and ends instances, as many as are needed.
func (k *keeper) adapt(now time.Time) {
	a := &k.scale
	n := len(k.slots)
	if n == k.plan.Instances && n == k.plan.MaxInstances {
		a.pending = false
		return
	}
	moving := k.opening != nil || slices.ContainsFunc(k.slots, (*slot).moves)
	if now.Before(a.lookAt) && (moving || !a.pending) {
		k.at(a.lookAt)
		return
	}
	a.lookAt = now.Add(lookEvery)
	k.at(a.lookAt)
	if a.growing != nil && a.growing.machine.state == Starting {
		a.pending = false
		return
	}
	a.growing = nil
	change := k.wantedChange(now)
	if a.pending = change != nil && moving; change != nil && !moving {
		change(now)
	}
}

// wantedChange looks at the load, and returns what is to be done about the number of
// instances; nil: nothing.
func (k *keeper) wantedChange(now time.Time) func(now time.Time) {
	a := &k.scale
	n := 0 // but those that are about to replace another, or to go
	for _, s := range k.slots {
		if !s.moves() {
			n++
		}
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
		return k.add
	case n > k.plan.MaxInstances:
		return func(now time.Time) { k.retire(k.slots[len(k.slots)-1], now) }
	case n < k.plan.MaxInstances && !a.waited.IsZero() && now.Sub(a.waited) >= growAfter:
		return k.grow
	case n > k.plan.Instances && !a.ample.IsZero() && now.Sub(a.ample) >= shrinkAfter:
		return k.shrink
	}
	return nil
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
	k.openInstance(func(s *slot, err error) {
		if err != nil {
			k.log.Error("starting one more instance failed", "error", err.Error())
			return
		}
		k.spawn(s, time.Now())
		k.scale.growing = s
		k.log.Info("one more instance", "instance", s.socket.addr, "instances", len(k.slots))
	})
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

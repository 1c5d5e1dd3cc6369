package supervise

import (
	"slices"
	"time"
)

// rest has the application end when there is nothing to do, and start when there is.
func (k *keeper) rest(now time.Time) {
	if k.plan.IdleShutdown == 0 {
		return
	}
	wanted := time.Unix(0, k.wanted.Load())
	resting := false
	for _, s := range k.slots {
		if !s.rests() {
			continue
		}
		if wanted.After(s.machine.since) {
			k.undrain(s, now)
		}
		resting = resting || s.rests()
	}
	k.resting.Store(resting)
	if resting {
		if wanted != time.Unix(0, k.wanted.Load()) {
			k.changed = true // it was not told of
		}
		return
	}
	due := wanted.Add(k.plan.IdleShutdown)
	switch {
	case now.Before(due):
		k.at(due)
		return
	case k.front.Load() != Load{} || slices.ContainsFunc(k.slots, (*slot).moves):
		k.at(now.Add(lookEvery))
		return
	}
	for _, s := range k.slots {
		if s.machine.state.works() {
			k.log.Info("nobody has asked for anything; the command is ended until somebody does", "instance", s.socket.addr)
			k.drain(s, now, sleep)
		}
	}
	k.resting.Store(true)
}

// rests reports whether the instance sleeps, or is about to.
func (s *slot) rests() bool {
	m := s.machine
	return m.state == Asleep || (m.state == Draining || m.state == Ending) && m.aim == sleep
}

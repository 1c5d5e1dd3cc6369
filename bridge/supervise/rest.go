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
	wanted := k.wanted.Load()
	resting := false
	for _, s := range k.slots {
		if s.rests() && s.unwanted != wanted {
			k.undrain(s, now, woken)
		}
		resting = resting || s.rests()
	}
	k.resting.Store(resting)
	if wanted != k.wanted.Load() {
		k.changed = true // whoever wanted it may not have seen that it rests
	}
	if !slices.ContainsFunc(k.slots, func(s *slot) bool { return s.machine.state.works() }) {
		return
	}
	due := k.when(max(wanted, k.scale.back)).Add(k.plan.IdleShutdown)
	switch {
	case now.Before(due):
		k.at(due)
		return
	case slices.ContainsFunc(k.slots, func(s *slot) bool { return s.ready != nil || s.child != nil && !s.launched }):
		return // somebody may wait for it
	case k.front.Load() != Load{} || slices.ContainsFunc(k.slots, (*slot).moves):
		k.at(now.Add(lookEvery))
		return
	}
	k.resting.Store(true)
	for _, s := range k.slots {
		if s.machine.state.works() {
			s.unwanted = wanted
			k.log.Info("nobody has asked for anything; the command is ended until somebody does", "instance", s.socket.addr)
			k.drain(s, now, sleep)
		}
	}
}

// rests reports whether the instance sleeps, or is about to.
func (s *slot) rests() bool {
	m := s.machine
	return m.state == Asleep || (m.state == Draining || m.state == Ending) && m.aim == sleep
}

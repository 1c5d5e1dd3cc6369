package supervise

import (
	"log/slog"
	"time"
)

const (
	// lookEvery is how often it is looked at what cannot be told of.
	lookEvery = time.Second
	// dumpTime is how long a child has to write what it is at.
	dumpTime = 2 * time.Second
)

// unhang deals with children that do not answer, or take too long over a request.
func (k *keeper) unhang(now time.Time) {
	k.endStalled(now)
	if k.plan.MaxTime == 0 {
		return
	}
	for _, s := range k.slots {
		if s.child == nil || !s.launched || s.slow || !s.machine.state.works() {
			continue
		}
		k.at(now.Add(lookEvery))
		all := k.front.InFlight(s.socket.addr)
		if len(all) == 0 || oldest(all).Age <= k.plan.MaxTime {
			continue
		}
		s.slow = true
		k.log.Warn("a request takes longer than it may; its process is replaced", "instance", s.socket.addr, "pid", s.child.pid(),
			"in_flight", slog.AnyValue(requests(all)))
		k.outdate(s, takesLong)
	}
}

func oldest(all []Request) Request {
	r := all[0]
	for _, other := range all[1:] {
		if other.Age > r.Age {
			r = other
		}
	}
	return r
}

// endStalled ends the children that have answered nobody for too long, if nobody is
// answered.
func (k *keeper) endStalled(now time.Time) {
	since := k.stalled.Load()
	if since == 0 || k.plan.StallKill == 0 {
		return
	}
	if due := k.when(since).Add(k.plan.StallKill); now.Before(due) {
		k.at(due)
		return
	}
	for _, s := range k.slots {
		m := s.merit.Load()
		// One that was started meanwhile has as long.
		last := k.when(max(since, k.ticks(m.begun), m.last.Load()))
		if s.ends() || !s.launched || !s.machine.state.works() {
			continue
		}
		if due := last.Add(k.plan.StallKill); now.Before(due) {
			k.at(due)
			continue
		}
		k.log.Error("a process answers nobody; it is ended", "instance", s.socket.addr, "pid", s.child.pid(), "since", last,
			"in_flight", slog.AnyValue(requests(k.front.InFlight(s.socket.addr))))
		k.kill(s, answersNone, k.dumpAndEnd)
	}
}

// dumpAndEnd ends a child that hangs.
func (k *keeper) dumpAndEnd(c process) {
	if k.plan.DumpSignal == 0 {
		c.stop(0)
		return
	}
	c.dump(k.plan.DumpSignal)
	c.stop(dumpTime)
}

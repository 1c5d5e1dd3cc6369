package supervise

import (
	"log/slog"
	"time"
)

const (
	// lookEvery is how often it is looked at what cannot be told of.
	checkInterval = time.Second
	// dumpTime is how long a child has to write what it is at.
	dumpTime = 2 * time.Second
)

// unhang deals with children that do not answer, or take too long over a request.
func (sup *supervisor) enforceTimeouts(now time.Time) {
	sup.killStalled(now)
	if sup.plan.MaxTime == 0 {
		return
	}
	for _, in := range sup.instances {
		if in.child == nil || !in.launched || in.overtime || !in.machine.state.takesRequests() {
			continue
		}
		sup.wakeAt(now.Add(checkInterval))
		all := sup.front.InFlight(in.socket.Addr)
		if len(all) == 0 || oldest(all).Age <= sup.plan.MaxTime {
			continue
		}
		in.overtime = true
		sup.log.Warn("a request takes longer than it may; its process is replaced", "instance", in.socket.Addr, "pid", in.child.PID(),
			"in_flight", slog.AnyValue(requests(all)))
		sup.markForReplacement(in, maxTimeExceeded)
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
func (sup *supervisor) killStalled(now time.Time) {
	since := sup.stalledSince.Load()
	if since == 0 || sup.plan.StallKill == 0 {
		return
	}
	if due := sup.timeOf(since).Add(sup.plan.StallKill); now.Before(due) {
		sup.wakeAt(due)
		return
	}
	for _, in := range sup.instances {
		stats := in.stats.Load()
		// One that was started meanwhile has as long.
		last := sup.timeOf(max(since, sup.ticks(stats.since), stats.lastAnswer.Load()))
		if in.ends() || !in.launched || !in.machine.state.takesRequests() {
			continue
		}
		if due := last.Add(sup.plan.StallKill); now.Before(due) {
			sup.wakeAt(due)
			continue
		}
		sup.log.Error("a process answers nobody; it is ended", "instance", in.socket.Addr, "pid", in.child.PID(), "since", last,
			"in_flight", slog.AnyValue(requests(sup.front.InFlight(in.socket.Addr))))
		sup.kill(in, answersNobody, sup.dumpAndStop)
	}
}

// dumpAndEnd ends a child that hangs.
func (sup *supervisor) dumpAndStop(c process) {
	if sup.plan.DumpSignal == 0 {
		c.Stop(0)
		return
	}
	c.Dump(sup.plan.DumpSignal)
	c.Stop(dumpTime)
}

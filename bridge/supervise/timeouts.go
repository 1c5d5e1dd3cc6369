package supervise

import (
	"log/slog"
	"time"
)

const (
	// checkInterval is how often the supervisor looks at what has no event.
	checkInterval = time.Second
	// dumpTime is how long a child has to write its stacks.
	dumpTime = 2 * time.Second
)

// enforceTimeouts ends children that answer no request, and replaces those that take too long
// for one.
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
			"in_flight", slog.AnyValue(requests(all)), "advice", "see why the requests in flight take so long")
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

// killStalled ends the children that have answered nothing for plan.StallKill, while the
// application as a whole answers nothing.
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
		// A child that was started meanwhile has as long.
		last := sup.timeOf(max(since, sup.ticks(stats.since), stats.lastAnswer.Load()))
		if in.ends() || !in.launched || !in.machine.state.takesRequests() {
			continue
		}
		if due := last.Add(sup.plan.StallKill); now.Before(due) {
			sup.wakeAt(due)
			continue
		}
		sup.log.Error("a process answers no request; it is ended", "instance", in.socket.Addr, "pid", in.child.PID(), "since", last,
			"in_flight", slog.AnyValue(requests(sup.front.InFlight(in.socket.Addr))), "advice", "see what the requests in flight wait for; the stacks follow if there is a dump signal")
		sup.kill(in, answersNothing, sup.dumpAndStop)
	}
}

// dumpAndStop has a child write its stacks, and ends it.
func (sup *supervisor) dumpAndStop(c process) {
	if sup.plan.DumpSignal == 0 {
		c.Stop(0)
		return
	}
	c.Dump(sup.plan.DumpSignal)
	c.Stop(dumpTime)
}

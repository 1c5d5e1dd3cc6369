package supervise

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge/events"
)

// updateBreaker has one of the broken instances tried from time to time. The breaker is open,
// and requests are refused, while all instances are broken.
func (sup *supervisor) updateBreaker(now time.Time) {
	var broken *instance
	probing, othersMayServe := false, false
	for _, in := range sup.instances {
		switch in.machine.state {
		case stateBroken:
			if broken == nil || !in.machine.next.IsZero() {
				broken = in
			}
		case stateProbing:
			probing = true
		case stateClosed:
		default:
			othersMayServe = true
		}
	}
	for _, in := range sup.instances {
		switch m := in.machine; {
		case m.state != stateBroken:
		case in != broken || probing:
			m.next = time.Time{}
		case m.next.IsZero():
			m.next = now.Add(sup.budget.window)
		}
	}
	if broken == nil || probing || othersMayServe {
		sup.refusingUntil.Store(0)
		return
	}
	sup.wakeAt(broken.machine.next)
	if sup.refusingUntil.Swap(sup.ticks(broken.machine.next)) != 0 {
		return
	}
	sup.front.Down()
	for _, in := range sup.instances {
		if in.added {
			sup.front.Fail(in.socket.Addr)
		}
	}
	if !sup.breakerLogged {
		sup.breakerLogged = true
		sup.plan.Events.Add(events.Event{Kind: events.GivenUp, Text: "No more processes are started for now, because too many have ended. Requests are refused."})
		sup.log.Error("no more processes are started for now: too many have ended; requests are refused", "next_in", broken.machine.next.Sub(now), "advice", "mend what ends the command: the lines above have its last output; a restart (sluice restart) tries at once")
	}
}

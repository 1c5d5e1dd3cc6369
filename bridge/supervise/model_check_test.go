package supervise

import (
	"fmt"
	"testing/synctest"
	"time"
)

// check checks what always holds between two passes.
func (m *model) check() {
	m.sup.call(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		owned, successors := 0, 0
		for _, in := range m.sup.instances {
			if in.child != nil {
				owned++
			}
			if in.replaces != nil {
				successors++
			}
			m.checkChild(in)
			m.checkRotation(in)
		}
		if owned != len(m.children) {
			m.t.Errorf("%d of %d children are known", owned, len(m.children))
		}
		if successors > 1 {
			m.t.Errorf("%d are being replaced", successors)
		}
		// An instance that is removed stays until the exit of its child was reported.
		if n := len(m.sup.instances); n > m.most+3 {
			m.t.Errorf("there are %d instances", n)
		}
		if due := m.sup.nextPass; !due.IsZero() && due.Before(time.Now()) {
			m.t.Errorf("something was to be done %v ago", time.Since(due))
		}
	})
}

// checkChild checks that an instance has a child if its state says so.
func (m *model) checkChild(in *instance) {
	state := in.machine.state
	switch {
	case state.hasProcess() && in.child == nil && in.pendingExit == nil:
		m.t.Errorf("%v: there is no child", in)
	case !state.hasProcess() && in.child != nil && !(in.stuck && state == stateClosed):
		m.t.Errorf("%v: there is a child", in)
	case state == stateWaiting && in.machine.next.IsZero():
		m.t.Errorf("%v: it waits for ever", in)
	}
	c := m.at(in.socket.Addr)
	if (in.child != nil) != (c != nil) || c != nil && in.child != process(c) {
		m.t.Errorf("%v: child %v, there is %v", in, in.child, c)
	}
	if lives := c != nil && c.runs() && c.lives(); in.alive.Load() != lives {
		m.t.Errorf("%v: alive %v, but its child %v", in, in.alive.Load(), lives)
	}
}

// checkRotation checks that requests are sent to an instance if its state says so.
func (m *model) checkRotation(in *instance) {
	state := in.machine.state
	going := state == stateDraining || state == stateEnding
	d := m.instances[in.socket.Addr]
	if in.added != (d != nil) || d != nil && in.inRotation == (d.drained != nil) {
		m.t.Errorf("%v: added %v, in rotation %v; Front has %+v", in, in.added, in.inRotation, d)
	}
	switch {
	case going && in.inRotation:
		m.t.Errorf("%v: requests are sent there", in)
	case (state == stateServing || state == stateReady) && in.alive.Load() && !in.inRotation:
		m.t.Errorf("%v: no requests are sent there", in)
	case in.replaces != nil && state == stateServing:
		m.t.Errorf("%v: it serves before it has replaced another", in)
	case in.drainWait != nil && state != stateDraining:
		m.t.Errorf("%v: it is waited for its requests", in)
	}
}

// checkStop checks that a child may be told to end now: no requests are sent to it, and it has none
// left or was drained for long enough. The supervisor calls it.
func (w *simulation) checkStop(c *simProcess) {
	d, cause := w.instances[c.addr], w.sup.find(c.addr).cause
	if d == nil || cause != "" && cause != drainTimedOut {
		return
	}
	patience := w.sup.plan.DrainTimeout
	if kill := w.sup.plan.StallKill; kill > 0 && w.sup.plan.MaxTime > 0 {
		patience = min(patience, kill)
	}
	switch {
	case d.drained == nil:
		w.t.Errorf("child %d at %s is told to end, and requests are sent there", c.n, c.addr)
	case len(d.requests) > 0 && time.Since(d.since) < patience:
		w.t.Errorf("child %d at %s is told to end with %d requests, after %v", c.n, c.addr, len(d.requests), time.Since(d.since))
	}
}

// pass lets d pass, with requests.
func (m *model) pass(d time.Duration) {
	for range d / time.Second {
		time.Sleep(time.Second)
		m.group.Wanted()
		m.serve(1)
	}
	synctest.Wait()
}

// checkRecovery ends all faults, and checks that the application recovers.
func (m *model) checkRecovery() {
	m.mu.Lock()
	m.note("all goes well from now on")
	m.faultless, m.waiting = true, 0
	for _, c := range m.children {
		c.ready, c.ends, c.groupEnds, c.used = 0, 0, 0, 100*mib
	}
	m.mu.Unlock()
	m.group.Stalled(time.Time{})
	m.pass(3 * time.Minute) // in which children end that do not become ready in time
	m.until(40*time.Minute, m.problems)
}

// until lets time pass until f returns "", which must happen within d.
func (m *model) until(d time.Duration, f func() string) {
	begun := time.Now()
	for f() != "" {
		if time.Since(begun) > d {
			m.t.Errorf("after %v: %s", d, f())
			return
		}
		m.pass(time.Second)
	}
}

// problems is what is wrong although there was no fault for a while; "": nothing.
func (m *model) problems() string {
	for i, done := range m.restarts {
		if len(done) == 0 {
			return fmt.Sprintf("restart %d has not ended", i)
		}
	}
	var states []string
	working, inLoop, stuck := 0, false, false
	m.sup.call(func() {
		inLoop = m.sup.crashLoop.active
		for _, in := range m.sup.instances {
			states = append(states, in.String())
			if in.machine.state.takesRequests() {
				working++
			}
			stuck = stuck || in.stuck
		}
	})
	switch {
	case stuck:
		return fmt.Sprintf("a child does not end: %v", states)
	case inLoop:
		return fmt.Sprintf("the crash loop is not over: %v", states)
	case working < m.plan.Instances && m.hasRoom(), working == 0, len(states) > m.plan.Instances+1:
		return fmt.Sprintf("%v, want %d that work", states, m.plan.Instances)
	}
	return ""
}

// hasRoom reports whether there is memory for all instances without faults.
func (m *model) hasRoom() bool {
	total := m.plan.Memory.Total
	return total == 0 || total > uint64(110*m.plan.Instances)*mib
}

// checkRestart checks that no child from before a restart is left after it.
func (m *model) checkRestart() {
	old := m.started
	done := m.restart()
	m.until(20*time.Minute, func() string {
		if len(done) == 0 {
			return "the restart has not ended"
		}
		return ""
	})
	if m.t.Failed() {
		return
	}
	if err := <-done; err != nil {
		if m.hasRoom() {
			m.t.Errorf("restart: %v", err)
		}
		return // a new child may have been killed for the total
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.children) == 0 || m.children[0].n <= old {
		m.t.Errorf("after a restart there are %d children, of those before there were %d", len(m.children), old)
	}
}

// checkIdle checks that no child runs without requests, and one does with the next request.
func (m *model) checkIdle() {
	if m.plan.IdleShutdown == 0 {
		return
	}
	time.Sleep(30 * time.Minute)
	synctest.Wait()
	if n := len(m.children); n > 0 {
		m.t.Errorf("no request for half an hour, and %d children are there", n)
	}
	m.group.Wanted()
	time.Sleep(time.Second)
	synctest.Wait()
	if len(m.children) == 0 {
		m.t.Error("there is a request, and no child")
	}
}

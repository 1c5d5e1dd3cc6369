package supervise

import (
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
)

// creation is the making of an instance's socket, by the executor. There is one at a time,
// after those of startAll.
type creation struct {
	number int
	then   func(*instance, error)

	done   chan struct{} // closed when socket or err is set
	socket *proc.Socket
	err    error
}

// createInstance has an instance made. then gets it, or why it could not be made.
func (sup *supervisor) createInstance(then func(*instance, error)) {
	c, p := &creation{number: sup.freeNumber(), then: then, done: make(chan struct{})}, sup.plan
	sup.creation = c
	sup.executor.do(func() {
		c.socket, c.err = sup.program.listen(p, c.number)
		close(c.done)
		sup.wake()
	})
}

// freeNumber is the lowest number that no instance has.
func (sup *supervisor) freeNumber() int {
	number := 0
	for slices.ContainsFunc(sup.instances, func(in *instance) bool { return in.number == number }) {
		number++
	}
	return number
}

// checkCreation continues when the socket is made.
func (sup *supervisor) checkCreation() {
	c := sup.creation
	if c == nil || !isClosed(c.done) {
		return
	}
	sup.creation = nil
	sup.again = true
	if c.err != nil {
		c.then(nil, c.err)
		return
	}
	c.then(sup.newInstance(c.number, c.socket), nil)
}

// cancelCreation closes the socket that is being made, at the end.
func (sup *supervisor) cancelCreation() {
	c := sup.creation
	if c == nil {
		return
	}
	sup.creation = nil
	sup.executor.do(func() { // after it is made
		if c.err == nil {
			sup.program.closeSocket(c.socket)
		}
	})
}

// newInstance adds an instance with a socket.
func (sup *supervisor) newInstance(number int, socket *proc.Socket) *instance {
	now := time.Now()
	in := &instance{number: number, socket: socket, machine: newMachine(sup.budget, sup.plan.SpawnBudget.Stop, sup.random, now)}
	in.stats.Store(&processStats{since: now})
	sup.instances = append(sup.instances, in)
	sup.reindex()
	sup.again = true
	return in
}

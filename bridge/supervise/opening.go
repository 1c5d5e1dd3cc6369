package supervise

import (
	"slices"
	"time"
)

// opening is an instance that is being made: it has no socket yet. There is one at a time,
// and begin's.
type opening struct {
	number int
	then   func(*slot, error)

	done   chan struct{} // closed when it is known what has come of it
	socket *socket
	err    error
}

// openInstance has an instance made. then is called when it is there, or could not be made.
func (k *keeper) openInstance(then func(*slot, error)) {
	o, p := &opening{number: k.freeNumber(), then: then, done: make(chan struct{})}, k.plan
	k.opening = o
	k.executor.do(func() {
		o.socket, o.err = k.program.listen(p, o.number)
		close(o.done)
		k.nudge()
	})
}

// freeNumber is the lowest that no instance has.
func (k *keeper) freeNumber() int {
	number := 0
	for slices.ContainsFunc(k.slots, func(s *slot) bool { return s.number == number }) {
		number++
	}
	return number
}

// checkOpening goes on with an instance that was made.
func (k *keeper) checkOpening() {
	o := k.opening
	if o == nil || !isClosed(o.done) {
		return
	}
	k.opening = nil
	k.changed = true
	if o.err != nil {
		o.then(nil, o.err)
		return
	}
	o.then(k.enlist(o.number, o.socket), nil)
}

// cancelOpening gives up an instance that is being made, at the end.
func (k *keeper) cancelOpening() {
	o := k.opening
	if o == nil {
		return
	}
	k.opening = nil
	k.executor.do(func() { // it was made by then
		if o.err == nil {
			k.program.shut(o.socket)
		}
	})
}

// enlist makes an instance of a socket.
func (k *keeper) enlist(number int, socket *socket) *slot {
	now := time.Now()
	s := &slot{number: number, socket: socket, memory: new(memory), machine: newMachine(k.budget, k.plan.SpawnBudget.Stop, k.random, now)}
	s.merit.Store(&merit{begun: now})
	k.slots = append(k.slots, s)
	k.reindex()
	k.changed = true
	return s
}

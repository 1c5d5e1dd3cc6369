//go:build linux

package loop

import "sync/atomic"

// notice has a loop do something, soon: once, however often it is told before.
type notice struct {
	loop   *loop
	posted atomic.Bool // run is

	// Made once: there are several of them for each request.
	tell func() // may be called in any goroutine
	run  func()
}

// begin says which loop is to do what.
func (n *notice) begin(l *loop, what func()) {
	n.loop, n.tell = l, n.told
	n.run = func() {
		n.posted.Store(false)
		what()
	}
}

func (n *notice) told() {
	if n.posted.CompareAndSwap(false, true) {
		n.loop.post(n.run)
	}
}

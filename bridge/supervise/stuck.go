package supervise

import (
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
	"github.com/sluice-proxy/sluice/bridge/supervise/internal/session"
)

// A killed process does not end while it waits in the kernel for a disk or a network file system
// that does not answer. No other child is started on its socket meanwhile.

// stopTimeout is how long it may take until nothing is left of a child that is to end: for its
// stacks, for SIGTERM, for SIGKILL, and for killing what has left its group.
const stopTimeout = dumpTime + proc.StopGrace + 2*session.KillTimeout

// checkStop looks for a child that should have ended by now. A child on another socket takes
// its place.
func (sup *supervisor) checkStop(in *instance, now time.Time) {
	if in.child == nil || in.stopBy.IsZero() || in.stuck {
		return
	}
	if now.Before(in.stopBy) {
		sup.wakeAt(in.stopBy)
		return
	}
	in.stuck = true
	sup.log.Error("a process does not end although it was killed: it seems to wait for a disk or a network file system",
		"instance", in.socket.Addr, "pid", in.child.PID(), "advice", "see what the process waits for: a disk or a network mount that does not answer")
	if in.replaces != nil {
		sup.failReplacement(in, in.errStuck())
		return
	}
	sup.markForReplacement(in, unkillable)
}

func (in *instance) errStuck() error {
	return fmt.Errorf("process %d was killed and does not end", in.child.PID())
}

// abandon gives up an instance whose child does not end. The record of the child stays, and
// the next Start kills what is left then.
func (sup *supervisor) abandon(in *instance) {
	pid := in.child.PID()
	sup.log.Error("a process does not end although it was killed; it is left to the next start", "instance", in.socket.Addr, "pid", pid, "advice", "see what the process waits for: a disk or a network mount that does not answer")
	sup.leftovers = append(sup.leftovers, pid)
	sup.stopAwaitingReady(in)
	if in.added {
		sup.front.Remove(in.socket.Addr)
	}
	sup.executor.do(func() { in.socket.Release() }) // the child has the descriptor, too
}

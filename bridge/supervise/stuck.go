package supervise

import (
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
	"github.com/sluice-proxy/sluice/bridge/supervise/internal/session"
)

// A process may not end although it was killed: it waits, in the kernel, for a disk or a
// network file system that does not answer. Nothing can be done about it, and nothing else
// is started on its socket.

// endTime is how long a child has from when its end is brought about until nothing of it is
// left: to write what it is at, to end by itself, to be killed, and so what has left its
// group.
const stopTimeout = dumpTime + proc.StopGrace + 2*session.KillTimeout

// checkEnd looks for a child that should have ended by now. One that has the instance to
// itself is replaced by one on another socket.
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
		"instance", in.socket.Addr, "pid", in.child.PID())
	if in.replaces != nil {
		sup.failReplacement(in, in.errStuck())
		return
	}
	sup.markForReplacement(in, unkillable)
}

func (in *instance) errStuck() error {
	return fmt.Errorf("process %d was killed and does not end", in.child.PID())
}

// abandon gives an instance up whose child does not end. Its record stays: the next start
// ends what there is then.
func (sup *supervisor) abandon(in *instance) {
	pid := in.child.PID()
	sup.log.Error("a process does not end although it was killed; it is left to the next start", "instance", in.socket.Addr, "pid", pid)
	sup.leftovers = append(sup.leftovers, pid)
	sup.stopAwaitingReady(in)
	if in.added {
		sup.front.Remove(in.socket.Addr)
	}
	sup.executor.do(func() { in.socket.Release() }) // the child has it, too
}

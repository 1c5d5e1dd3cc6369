package supervise

import (
	"fmt"
	"time"
)

// A process may not end although it was killed: it waits, in the kernel, for a disk or a
// network file system that does not answer. Nothing can be done about it, and nothing else
// is started on its socket.

// killTime is how long killed processes have to be gone: one that waits for a disk or a
// network file system may take longer.
const killTime = 5 * time.Second

// endTime is how long a child has from when its end is brought about until nothing of it is
// left: to write what it is at, to end by itself, to be killed, and so what has left its
// group.
const endTime = dumpTime + grace + 2*killTime

// checkEnd looks for a child that should have ended by now. One that has the instance to
// itself is replaced by one on another socket.
func (k *keeper) checkEnd(s *slot, now time.Time) {
	if s.child == nil || s.endBy.IsZero() || s.stuck {
		return
	}
	if now.Before(s.endBy) {
		k.at(s.endBy)
		return
	}
	s.stuck = true
	k.log.Error("a process does not end although it was killed: it seems to wait for a disk or a network file system",
		"instance", s.socket.addr, "pid", s.child.pid())
	if s.replaces != nil {
		k.giveUpRenewal(s, s.errStuck())
		return
	}
	k.outdate(s, doesNotEnd)
}

func (s *slot) errStuck() error {
	return fmt.Errorf("process %d was killed and does not end", s.child.pid())
}

// abandon gives an instance up whose child does not end. Its record stays: the next start
// ends what there is then.
func (k *keeper) abandon(s *slot) {
	pid := s.child.pid()
	k.log.Error("a process does not end although it was killed; it is left to the next start", "instance", s.socket.addr, "pid", pid)
	k.left = append(k.left, pid)
	k.unwatch(s)
	if s.added {
		k.front.Remove(s.socket.addr)
	}
	k.executor.do(func() { _ = s.socket.file.Close() }) // the child has it, too
}

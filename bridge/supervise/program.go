package supervise

import (
	"context"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
)

// program is what the supervisor keeps running: the application, or a simulation of one in
// tests. All methods may block, but for newProcess.
type program interface {
	// listen makes the socket of a number, which closeSocket closes. The executor calls both.
	listen(p *plan, number int) (*proc.Socket, error)
	closeSocket(*proc.Socket)
	// newProcess makes a child that is to serve a socket. notify is called when the child
	// runs, when it has exited, and when nothing of its group is left.
	newProcess(p *plan, s *proc.Socket, notify func()) process
	// accepts waits until a child to which no requests are sent yet accepts a connection.
	accepts(ctx context.Context, s *proc.Socket) error
	// queued is how many connections to a socket wait to be accepted, if that is known.
	queued(s *proc.Socket) (n int, known bool)
	// memory is what all children use together, in bytes, if that is known.
	memory() (used uint64, known bool)
}

// process is a child, see proc.Child. Only Launch, Memory and OOMKills may block.
type process interface {
	// Launch starts the child. The executor calls it, once.
	Launch()
	// Launched is closed when the child runs the command.
	Launched() <-chan struct{}
	// PID is 0 as long as there is no process.
	PID() int
	// Exited is closed when the child has exited, or could not be started.
	Exited() <-chan struct{}
	// Reaped is how the child ended, when nothing of it and its group is left.
	Reaped() (proc.Exit, bool)
	// Dump sends a signal at which the child writes its stacks.
	Dump(syscall.Signal)
	// Stop sends SIGTERM after a while, and SIGKILL if the child does not exit then.
	Stop(after time.Duration)
	// Kill sends SIGKILL to the child and its group.
	Kill()
	// Lines are the last lines of the child's output.
	Lines() []string
	// Memory is what the child and its group use, in bytes, if that is known. It is called
	// when the child runs.
	Memory() (used uint64, known bool)
	// OOMKills is how often the kernel has killed a process of the group because there was no
	// memory. It is called when the child runs.
	OOMKills() uint64
}

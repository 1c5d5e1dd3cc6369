package proc

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/memlimit"
)

// StopGrace is how long a child has between SIGTERM and SIGKILL.
const StopGrace = 5 * time.Second

// Child is a process, the leader of its session and process group, that is being started
// or runs. Its methods, but for Launch, may be called at any time by any goroutine.
//
//	Launch --> a process that does not run the command yet --> running --> exited --> reaped
//	Launch --> exited --> reaped, if the command cannot be started
type Child struct {
	launcher *Launcher
	command  *Command
	socket   *Socket
	log      *slog.Logger
	notify   func() // called after each of the transitions above
	output   *reader
	meter    memlimit.Meter // set by Launch

	running chan struct{} // closed when the process runs the command
	exited  chan struct{} // closed when the process has exited, or there will be none
	reaped  chan struct{} // closed when nothing is left of its group; exit is set then
	exit    Exit

	mu          sync.Mutex
	cmd         *exec.Cmd      // nil: there is no process yet
	killedEarly bool           // Kill was called before there was a process
	noSignals   bool           // the process is not signalled any more: its id may soon be another's
	stoppers    sync.WaitGroup // goroutines of Stop; added to while noSignals is false
}

// Exit is how a child ended, or why it was not started.
type Exit struct {
	Time        time.Time
	PID         int      // 0: there was no process
	Status      int      // exit status; -1: killed by Signal, or not started
	Signal      string   // such as "killed"; "" if the process exited
	Err         string   // why the command could not be started; "" if it was
	Lines       []string // the last lines of output
	OutOfMemory bool     // the kernel had no memory for the child
}

// newExit is the exit of a process that was reaped.
func newExit(s *os.ProcessState) Exit {
	e := Exit{PID: s.Pid(), Status: s.ExitCode()}
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal = ws.Signal().String()
		if ws.CoreDump() {
			e.Signal += " (core dumped)"
		}
	}
	return e
}

// NewChild returns a child that is to run a command, and is told of a socket in the way of that.
// notify must not block.
func (l *Launcher) NewChild(command *Command, s *Socket, notify func()) *Child {
	return &Child{
		launcher: l, command: s.tell(command), socket: s, log: l.log, notify: notify, output: newReader(), meter: memlimit.NoMeter{},
		running: make(chan struct{}), exited: make(chan struct{}), reaped: make(chan struct{}),
	}
}

// run waits for the child's exit, from when there is a process.
func (c *Child) run(start *handshake) {
	err := start.finish(c)
	if err == nil {
		close(c.running)
		c.notify()
		c.awaitExit()
	}
	c.finish(err)
}

// finish ends what is left of the child's group. err is why the command could not be
// started.
func (c *Child) finish(err error) {
	at := time.Now()
	c.restoreSocket()
	close(c.exited)
	c.notify()
	c.reap()
	c.restoreSocket() // what was left of the group may have removed it, too
	if err != nil {
		c.exit.Err, c.exit.Status, c.exit.Signal = err.Error(), -1, ""
	}
	c.exit.Time = at
	close(c.reaped)
	c.notify()
}

func (c *Child) restoreSocket() {
	if err := c.socket.restore(); err != nil {
		c.launcher.log.Error("the command has removed its socket, which cannot be restored", "instance", c.socket.Addr, "error", err.Error(), "advice", "keep the command from removing its socket, and restart Sluice")
	}
}

// reap kills what is left of the group, so that the next child may be started on the same
// socket. That can take a while: a process that waits for a disk does not end at once. The
// leader is waited for last: until then no other process can have its id.
func (c *Child) reap() {
	c.signal(syscall.SIGKILL)
	c.mu.Lock()
	c.noSignals = true
	cmd := c.cmd
	c.mu.Unlock()
	c.stoppers.Wait()
	if cmd == nil {
		c.exit.Status = -1
		c.closeMeter()
		return
	}
	_ = cmd.Wait() // ProcessState has it all
	c.output.awaitEnd()
	c.exit = newExit(cmd.ProcessState)
	c.exit.Lines = c.output.lastLines()
	c.exit.OutOfMemory = c.exit.Signal != "" && c.meter.OOMKills() > 0
	c.closeMeter()
}

// closeMeter kills the processes that have left the child's group, as far as the meter
// knows them.
func (c *Child) closeMeter() {
	if err := errors.Join(c.meter.Kill(), c.meter.Close()); err != nil {
		c.log.Error("closing a memory meter failed", "error", err.Error(), "advice", "none: it is gone with this process")
	}
}

// PID is the process id; 0 if there is no process yet.
func (c *Child) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return 0
	}
	return c.cmd.Process.Pid
}

// Lines are the last lines of output.
func (c *Child) Lines() []string { return c.output.lastLines() }

// Launched is closed when the process runs the command.
func (c *Child) Launched() <-chan struct{} { return c.running }

// Exited is closed when the process has exited, or could not be started.
func (c *Child) Exited() <-chan struct{} { return c.exited }

// Reaped is how the child ended, when nothing of it and its group is left.
func (c *Child) Reaped() (Exit, bool) {
	select {
	case <-c.reaped:
		return c.exit, true
	default:
		return Exit{}, false
	}
}

// Memory is what the child and its group use, in bytes, if that is known. It is called
// when the command runs.
func (c *Child) Memory() (uint64, bool) {
	used, err := c.meter.Used()
	return used, err == nil
}

// OOMKills is how often the kernel has killed a process of the group because there was no
// memory. It is called when the command runs.
func (c *Child) OOMKills() uint64 { return c.meter.OOMKills() }

// Dump sends a signal at which the program writes its stacks.
func (c *Child) Dump(s syscall.Signal) { c.signal(s) }

// Stop sends SIGTERM after a while, and SIGKILL if the child has not exited StopGrace later.
func (c *Child) Stop(after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.noSignals {
		return
	}
	c.stoppers.Go(func() {
		if c.exitsWithin(after) {
			return
		}
		c.signal(syscall.SIGTERM)
		if !c.exitsWithin(StopGrace) {
			c.log.Warn("the command does not end when it is told to; it is killed", "pid", c.PID(), "after", StopGrace, "advice", "let the command act on SIGTERM")
			c.signal(syscall.SIGKILL)
		}
	})
}

// exitsWithin waits for the child's exit, for d at most.
func (c *Child) exitsWithin(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.exited:
		return true
	case <-t.C:
		return false
	}
}

// Kill sends SIGKILL to the child and its group.
func (c *Child) Kill() { c.signal(syscall.SIGKILL) }

// signal signals the child's process group until the child is reaped. Where there is no
// process yet, none will run the command.
func (c *Child) signal(s syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.noSignals {
		return
	}
	if c.cmd == nil {
		c.killedEarly = true
		return
	}
	pid := c.cmd.Process.Pid
	if err := syscall.Kill(-pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		c.log.Error("signalling the command failed", "pid", pid, "signal", s.String(), "error", err.Error(), "advice", "see whether the process is another user's")
	}
}

// errKilledEarly is why a child was not started.
var errKilledEarly = errors.New("it was to end before it was started")

// setProcess sets the child's process, and kills it if Kill was called before.
func (c *Child) setProcess(cmd *exec.Cmd) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cmd = cmd
	if c.killedEarly {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended
	}
}

func (c *Child) isKilledEarly() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.killedEarly
}

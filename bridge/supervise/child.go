package supervise

import (
	"errors"
	"log/slog"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// grace is how long a child has between SIGTERM and SIGKILL.
const grace = 5 * time.Second

// child is a program that is started, or runs, the leader of its process group.
//
//	launch --> a process that is not the command yet --> running --> gone --> buried
//	launch --> gone --> buried, if it cannot be started
type child struct {
	group  *Group
	plan   *plan
	socket *socket
	log    *slog.Logger
	news   func() // there is something new
	output *reader
	meter  meter // set when running is closed

	running chan struct{} // closed when it is the command
	gone    chan struct{} // closed when the leader has ended, or there will be none
	buried  chan struct{} // closed when all of it has, and exit says how
	exit    Exit

	mu     sync.Mutex
	cmd    *exec.Cmd      // nil: there is no process yet
	doomed bool           // it was to end before there was one
	over   bool           // it is not signalled any more: its id may soon be another's
	ending sync.WaitGroup // those who see to its end; added to while it is not over
}

// spawn makes a child, which launch starts.
func (g *Group) spawn(p *plan, s *socket, news func()) process {
	return &child{
		group: g, plan: p, socket: s, log: g.log, news: news, output: newReader(),
		running: make(chan struct{}), gone: make(chan struct{}), buried: make(chan struct{}),
	}
}

// live is a child's life, from when there is a process.
func (c *child) live(start *start) {
	err := start.finish(c)
	if err == nil {
		close(c.running)
		c.news()
		c.awaitDeath()
	}
	c.end(err)
}

// end sees to it that nothing is left of a child. err is why it could not be started.
func (c *child) end(err error) {
	at := time.Now()
	close(c.gone)
	c.news()
	c.bury()
	if err != nil {
		c.exit.Err, c.exit.Status, c.exit.Signal = err.Error(), -1, ""
	}
	c.exit.Time = at
	close(c.buried)
	c.news()
}

// bury ends whatever of the group is left, children of the child included, before the
// next may be started on the same socket. It can take a while: who waits for a disk does
// not end at once. The leader is waited for last: until then its id is nobody else's.
func (c *child) bury() {
	c.signal(syscall.SIGKILL)
	c.mu.Lock()
	c.over = true
	cmd := c.cmd
	c.mu.Unlock()
	c.ending.Wait()
	if cmd == nil {
		c.exit.Status = -1
		c.closeMeter()
		return
	}
	_ = cmd.Wait() // ProcessState has it all
	c.output.drained()
	c.exit = newExit(cmd.ProcessState)
	c.exit.Lines = c.output.last()
	c.exit.OutOfMemory = c.exit.Signal != "" && c.meter != nil && c.meter.killed() > 0
	c.closeMeter()
}

// closeMeter ends what has left the child's group, where the meter knows of it.
func (c *child) closeMeter() {
	if c.meter == nil {
		return
	}
	if err := errors.Join(c.meter.kill(), c.meter.close()); err != nil {
		c.log.Error("giving up a memory meter failed", "error", err.Error())
	}
}

// pid is the process id; 0 if there is no process yet.
func (c *child) pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return 0
	}
	return c.cmd.Process.Pid
}

func (c *child) lines() []string           { return c.output.last() }
func (c *child) launched() <-chan struct{} { return c.running }
func (c *child) dead() <-chan struct{}     { return c.gone }

func (c *child) ended() (Exit, bool) {
	if !isClosed(c.buried) {
		return Exit{}, false
	}
	return c.exit, true
}

// memory is what the child and its group use, if that is known.
func (c *child) memory() (uint64, bool) {
	used, err := c.meter.used()
	return used, err == nil
}

// starved is how often the kernel has killed something here for want of memory.
func (c *child) starved() uint64 { return c.meter.killed() }

// dump asks the child for its stacks.
func (c *child) dump(s syscall.Signal) { c.signal(s) }

// stop asks the child to end, after a while, and makes it when grace is over.
func (c *child) stop(after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.ending.Go(func() {
		if closedWithin(c.gone, after) {
			return
		}
		c.signal(syscall.SIGTERM)
		if !closedWithin(c.gone, grace) {
			c.log.Warn("the command does not end when it is told to; it is killed", "pid", c.pid(), "after", grace)
			c.signal(syscall.SIGKILL)
		}
	})
}

// kill ends the child, and its group, at once.
func (c *child) kill() { c.signal(syscall.SIGKILL) }

// signal signals the child's process group, unless it is over. One that has no process yet
// gets none.
func (c *child) signal(s syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	if c.cmd == nil {
		c.doomed = true
		return
	}
	pid := c.cmd.Process.Pid
	if err := syscall.Kill(-pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		c.log.Error("signalling the command failed", "pid", pid, "signal", s.String(), "error", err.Error())
	}
}

// errDoomed is why a child was not started.
var errDoomed = errors.New("it was to end before it was started")

// setProcess notes the process that the child has, which ends at once if it was to end.
func (c *child) setProcess(cmd *exec.Cmd) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cmd = cmd
	if c.doomed {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended
	}
}

func (c *child) isDoomed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doomed
}

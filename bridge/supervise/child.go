package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// grace is how long a child has between SIGTERM and SIGKILL.
const grace = 5 * time.Second

// child is a program that runs, the leader of its process group.
type child struct {
	cmd    *exec.Cmd
	output *reader
	meter  meter
	log    *slog.Logger
	plan   *plan
	gone   chan struct{} // closed when the leader has ended
	buried chan struct{} // closed when all of it has, and exit says how
	exit   Exit

	mu     sync.Mutex
	over   bool           // it is not signalled any more: its id may soon be another's
	ending sync.WaitGroup // those who see to its end; added to while it is not over
}

// spawn starts the program. It returns when the program runs, and is recorded.
func (g *Group) spawn(p *plan, s *socket, news func()) (process, error) {
	write, read, err := g.output.pipe()
	if err != nil {
		return nil, err
	}
	c := &child{output: read, log: g.log, plan: p, gone: make(chan struct{}), buried: make(chan struct{})}
	c.cmd = &exec.Cmd{
		Path: p.path, Args: p.Command, Dir: p.Dir,
		Env:   append(p.environ[:len(p.environ):len(p.environ)], tokenName+"="+g.dir.token),
		Stdin: s.file, Stdout: write, Stderr: write,
		SysProcAttr: childAttr(),
	}
	err = g.start(c, s)
	_ = write.Close()
	if err != nil {
		_ = read.file.Close() // nobody reads from it yet
		return nil, err
	}
	g.output.start(read, s.addr, c.pid())
	go func() {
		c.awaitDeath()
		at := time.Now()
		close(c.gone)
		news()
		c.bury()
		c.exit.Time = at
		close(c.buried)
		news()
	}()
	return c, nil
}

// start starts a child with a meter of its own.
func (g *Group) start(c *child, s *socket) (err error) {
	g.spawned++
	if c.meter, err = g.meters.open(fmt.Sprintf("%s-%d", s.name, g.spawned)); err != nil {
		return fmt.Errorf("memory meter: %w", err)
	}
	if c.plan.Reexec {
		err = g.startByOrder(c, s)
	} else if err = c.cmd.Start(); err == nil {
		if err = g.register(c, s); err != nil {
			destroy(c.cmd)
		}
	}
	if err != nil {
		c.closeMeter()
	}
	return err
}

// register puts a child where its memory is counted, and on the record.
func (g *Group) register(c *child, s *socket) error {
	pid := c.pid()
	if err := c.meter.enter(pid); err != nil {
		return fmt.Errorf("memory meter of process %d: %w", pid, err)
	}
	if err := g.dir.note(s.name, pid); err != nil {
		return fmt.Errorf("recording process %d: %w", pid, err)
	}
	return nil
}

// startByOrder runs our own program, which becomes the command.
func (g *Group) startByOrder(c *child, s *socket) error {
	cmd := c.cmd
	self, err := self()
	if err != nil {
		return err
	}
	orderRead, orderWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	defer orderWrite.Close()
	reportRead, reportWrite, err := os.Pipe()
	if err != nil {
		_ = orderRead.Close()
		return err
	}
	defer reportRead.Close()
	cmd.Path, cmd.Args = self, []string{childName}
	cmd.ExtraFiles = []*os.File{orderRead, reportWrite} // orderFD, reportFD
	err = cmd.Start()
	if err != nil && cmd.Dir != "" {
		err = fmt.Errorf("in working directory %s: %w", cmd.Dir, errors.Unwrap(err))
	}
	_, _ = orderRead.Close(), reportWrite.Close() // the child's now
	if err != nil {
		return err
	}
	err = g.giveOrder(c, s, orderWrite)
	if err == nil {
		var report []byte
		if report, err = io.ReadAll(reportRead); err == nil && len(report) > 0 {
			err = errors.New(string(report))
		}
	}
	if err != nil {
		destroy(cmd)
	}
	return err
}

// giveOrder lets the child go on, when it is registered.
func (g *Group) giveOrder(c *child, s *socket, to *os.File) error {
	if err := g.register(c, s); err != nil {
		return err
	}
	text, err := json.Marshal(c.plan.order())
	if err != nil {
		return err
	}
	_, err = to.Write(text)
	return errors.Join(err, to.Close())
}

// destroy ends a child that has not become the command, or is not recorded.
func destroy(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended
	_ = cmd.Wait()                                      // why it ended is known
}

func (c *child) pid() int              { return c.cmd.Process.Pid }
func (c *child) lines() []string       { return c.output.last() }
func (c *child) dead() <-chan struct{} { return c.gone }

func (c *child) end() (Exit, bool) {
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

// bury ends whatever of the group is left, children of the child included, before the
// next may be started on the same socket. It can take a while: who waits for a disk does
// not end at once. The leader is waited for last: until then its id is nobody else's.
func (c *child) bury() {
	c.signal(syscall.SIGKILL)
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.ending.Wait()
	_ = c.cmd.Wait() // ProcessState has it all
	c.output.drained()
	c.exit = newExit(c.cmd.ProcessState)
	c.exit.Lines = c.output.last()
	c.exit.OutOfMemory = c.exit.Signal != "" && c.starved() > 0
	c.closeMeter()
}

// closeMeter ends what has left the child's group, where the meter knows of it.
func (c *child) closeMeter() {
	if err := errors.Join(c.meter.kill(), c.meter.close()); err != nil {
		c.log.Error("giving up a memory meter failed", "error", err.Error())
	}
}

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
		if c.goneWithin(after) {
			return
		}
		c.signal(syscall.SIGTERM)
		if !c.goneWithin(grace) {
			c.log.Warn("the command does not end when it is told to; it is killed", "pid", c.pid(), "after", grace)
			c.signal(syscall.SIGKILL)
		}
	})
}

// goneWithin waits for the child's end, for so long.
func (c *child) goneWithin(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.gone:
		return true
	case <-t.C:
		return false
	}
}

// kill ends the child, and its group, at once.
func (c *child) kill() { c.signal(syscall.SIGKILL) }

// signal signals the child's process group, unless it is over.
func (c *child) signal(s syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	pid := c.cmd.Process.Pid
	if err := syscall.Kill(-pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		c.log.Error("signalling the command failed", "pid", pid, "signal", s.String(), "error", err.Error())
	}
}

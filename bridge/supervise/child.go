package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// grace is how long a child has between SIGTERM and SIGKILL.
const grace = 5 * time.Second

// child is a program that runs, the leader of its process group.
type child struct {
	cmd    *exec.Cmd
	output *reader
	log    *slog.Logger
	gone   chan struct{} // closed when the leader was waited for
}

// spawn starts the program. It returns when the program runs, and is recorded.
func (p *Process) spawn() (process, error) {
	write, read, err := p.output.pipe()
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path: p.plan.path, Args: p.plan.Command, Dir: p.plan.Dir,
		Env:   append(p.plan.environ[:len(p.plan.environ):len(p.plan.environ)], tokenName+"="+p.dir.token),
		Stdin: p.socket.file, Stdout: write, Stderr: write,
		SysProcAttr: childAttr(),
	}
	if p.plan.Reexec {
		err = p.startByOrder(cmd)
	} else if err = cmd.Start(); err == nil {
		if err = p.dir.note(cmd.Process.Pid); err != nil {
			destroy(cmd)
		}
	}
	_ = write.Close()
	if err != nil {
		_ = read.file.Close() // nobody reads from it yet
		return nil, err
	}
	pid := cmd.Process.Pid
	p.output.start(read, p.socket.addr, pid)
	c := &child{cmd: cmd, output: read, log: p.plan.Logger, gone: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // ProcessState has it all
		close(c.gone)
	}()
	return c, nil
}

// startByOrder runs our own program, which becomes the command.
func (p *Process) startByOrder(cmd *exec.Cmd) error {
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
	_, _ = orderRead.Close(), reportWrite.Close() // the child's now
	if err != nil {
		return err
	}
	err = p.giveOrder(cmd.Process.Pid, orderWrite)
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

// giveOrder lets the child go on, when it is recorded.
func (p *Process) giveOrder(pid int, to *os.File) error {
	if err := p.dir.note(pid); err != nil {
		return fmt.Errorf("recording process %d: %w", pid, err)
	}
	text, err := json.Marshal(p.plan.order())
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

func (c *child) pid() int               { return c.cmd.Process.Pid }
func (c *child) lines() []string        { return c.output.last() }
func (c *child) ended() <-chan struct{} { return c.gone }

// bury ends whatever of the group is left, children of the child included.
func (c *child) bury() Exit {
	c.signal(syscall.SIGKILL)
	<-c.gone
	c.output.drained()
	e := newExit(c.cmd.ProcessState)
	e.Lines = c.output.last()
	return e
}

// end asks the child to end, and waits for grace.
func (c *child) end() {
	c.signal(syscall.SIGTERM)
	select {
	case <-c.gone:
	case <-time.After(grace):
	}
	c.bury()
}

// signal signals the child's process group.
func (c *child) signal(s syscall.Signal) {
	pid := c.cmd.Process.Pid
	if err := syscall.Kill(-pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		c.log.Error("signalling the command failed", "pid", pid, "signal", s.String(), "error", err.Error())
	}
}

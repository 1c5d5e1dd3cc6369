package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// A child is started in two steps. The first is the executor's, whose thread the process
// has as its parent: it makes the process. With Config.Reexec that is our own program, for
// which nothing needs to be waited: Go's fork suspends its thread, and with it whatever
// wants to stop the world, until the child has executed a program. The second is the
// child's own goroutine's: what may take long, if the command or its working directory are
// on a file system that does not answer, holds nobody up but the child.

// start is a start that is under way.
type start struct {
	order  *os.File // takes the order; nil without Reexec
	report *os.File // gives why it was not carried out; nil without Reexec
}

// launch starts the child.
func (c *child) launch() {
	start, err := c.fork()
	if err != nil {
		go c.end(err)
		return
	}
	go c.live(start)
}

// fork makes the process.
func (c *child) fork() (_ *start, err error) {
	if c.isDoomed() {
		return nil, errDoomed
	}
	g := c.group
	g.spawned++
	if c.meter, err = g.meters.open(fmt.Sprintf("%s-%d", c.socket.name, g.spawned)); err != nil {
		return nil, fmt.Errorf("memory meter: %w", err)
	}
	write, err := c.output.open()
	if err != nil {
		return nil, err
	}
	defer write.Close()
	cmd := &exec.Cmd{
		Path: c.plan.path, Args: c.plan.Command, Dir: c.plan.Dir,
		Env:   append(c.plan.environ[:len(c.plan.environ):len(c.plan.environ)], tokenName+"="+g.dir.token),
		Stdin: c.socket.file, Stdout: write, Stderr: write,
		SysProcAttr: childAttr(),
	}
	s := &start{}
	if c.plan.Reexec {
		err = s.begin(cmd)
	} else {
		err = cmd.Start()
	}
	if err != nil {
		c.output.discard()
		return nil, err
	}
	c.setProcess(cmd)
	g.output.start(c.output, c.socket.addr, cmd.Process.Pid)
	return s, nil
}

// begin runs our own program, which waits for its order.
func (s *start) begin(cmd *exec.Cmd) error {
	self, err := self()
	if err != nil {
		return err
	}
	orderRead, orderWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	reportRead, reportWrite, err := os.Pipe()
	if err != nil {
		_, _ = orderRead.Close(), orderWrite.Close()
		return err
	}
	cmd.Path, cmd.Args, cmd.Dir = self, []string{childName}, ""
	cmd.ExtraFiles = []*os.File{orderRead, reportWrite} // orderFD, reportFD
	err = cmd.Start()
	_, _ = orderRead.Close(), reportWrite.Close() // the child's now
	if err != nil {
		_, _ = orderWrite.Close(), reportRead.Close()
		return err
	}
	s.order, s.report = orderWrite, reportRead
	return nil
}

// finish has the process become the command, once it is on record.
func (s *start) finish(c *child) error {
	err := c.register()
	if s.order == nil {
		return err
	}
	defer s.report.Close()
	if err != nil {
		_ = s.order.Close() // err is what matters
		return err
	}
	text, err := json.Marshal(c.plan.order())
	if err == nil {
		_, err = s.order.Write(text)
	}
	if err = errors.Join(err, s.order.Close()); err != nil {
		return err
	}
	report, err := io.ReadAll(s.report)
	if err == nil && len(report) > 0 {
		err = errors.New(string(report))
	}
	return err
}

// register puts a child where its memory is counted, and on the record.
func (c *child) register() error {
	pid := c.pid()
	if err := c.meter.enter(pid); err != nil {
		return fmt.Errorf("memory meter of process %d: %w", pid, err)
	}
	if err := c.group.dir.note(c.socket.name, pid); err != nil {
		return fmt.Errorf("recording process %d: %w", pid, err)
	}
	return nil
}

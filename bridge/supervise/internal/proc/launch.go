package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
)

// A child is started in two steps. The first, Launch, makes the process. With
// Command.Reexec that process runs this process's own program, which begins at once: Go's
// fork suspends its thread, and whatever wants to stop the world, until the new process has
// executed a program. The second step is the child's own goroutine: the new process is
// recorded, told what to set up, and executes the command. If the command or its working
// directory are on a file system that does not answer, only that goroutine waits.

// handshake is the second step, with the pipes that lead to the new process.
type handshake struct {
	setup  *os.File // takes a setup; nil without Reexec
	failed *os.File // gives why the command could not be executed; nil without Reexec
}

// Launch starts the process. It is called once, by one goroutine for all children of a
// Launcher, whose thread must not end before the children do: on Linux they get SIGTERM
// then.
func (c *Child) Launch() {
	start, err := c.fork()
	if err != nil {
		go c.finish(err)
		return
	}
	go c.run(start)
}

// fork makes the process.
func (c *Child) fork() (*handshake, error) {
	if c.isKilledEarly() {
		return nil, errKilledEarly
	}
	if err := c.socket.prepare(c.command.Account); err != nil {
		return nil, err
	}
	l := c.launcher
	l.started++
	meter, err := l.memory.Open(fmt.Sprintf("%s-%d", c.socket.name, l.started))
	if err != nil {
		return nil, fmt.Errorf("memory meter: %w", err)
	}
	c.meter = meter
	write, err := c.output.open()
	if err != nil {
		return nil, err
	}
	defer write.Close()
	cmd := &exec.Cmd{
		Path: c.command.Path, Args: c.command.Args, Dir: c.command.Dir,
		Env:    append(slices.Clip(c.command.Env), tokenName+"="+l.dir.token),
		Stdout: write, Stderr: write,
		SysProcAttr: childAttr(),
	}
	c.socket.give(cmd)
	s := &handshake{}
	if c.command.Reexec {
		err = s.begin(cmd)
	} else {
		err = c.socket.start(cmd)
	}
	if err != nil {
		c.output.discard()
		return nil, err
	}
	c.setProcess(cmd)
	l.output.start(c.output, c.socket.Addr, cmd.Process.Pid)
	return s, nil
}

// begin runs this process's own program, which waits for its setup.
func (s *handshake) begin(cmd *exec.Cmd) error {
	self, err := self()
	if err != nil {
		return err
	}
	setupRead, setupWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	failedRead, failedWrite, err := os.Pipe()
	if err != nil {
		_, _ = setupRead.Close(), setupWrite.Close()
		return err
	}
	cmd.Path, cmd.Args, cmd.Dir = self, []string{childName}, ""
	cmd.ExtraFiles = append(cmd.ExtraFiles, setupRead, failedWrite) // setupFD, errorFD
	err = cmd.Start()
	_, _ = setupRead.Close(), failedWrite.Close() // the child's now
	if err != nil {
		_, _ = setupWrite.Close(), failedRead.Close()
		return err
	}
	s.setup, s.failed = setupWrite, failedRead
	return nil
}

// finish has the process execute the command, once it is recorded.
func (s *handshake) finish(c *Child) error {
	err := c.register()
	if s.setup == nil {
		return err
	}
	defer s.failed.Close()
	if err != nil {
		_ = s.setup.Close() // err is what matters
		return err
	}
	text, err := json.Marshal(setup{os.Getpid(), c.socket.mode == Activation, c.socket.madeIn(), *c.command})
	if err == nil {
		_, err = s.setup.Write(text)
	}
	if err = errors.Join(err, s.setup.Close()); err != nil {
		return err
	}
	reason, err := io.ReadAll(s.failed)
	if err == nil && len(reason) > 0 {
		err = errors.New(string(reason))
	}
	return err
}

// register has the child's memory counted, and records its process for the next start.
func (c *Child) register() error {
	pid := c.PID()
	if err := c.meter.Enter(pid); err != nil {
		return fmt.Errorf("memory meter of process %d: %w", pid, err)
	}
	if err := c.launcher.dir.record(c.socket.name, pid); err != nil {
		return fmt.Errorf("recording process %d: %w", pid, err)
	}
	return nil
}

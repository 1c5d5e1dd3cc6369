package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// stopGrace is how long a process group may take to end by itself.
const stopGrace = 3 * time.Second

// process is a server we started: the leader of its own process group.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // where its output goes
	done chan struct{} // closed when the leader has ended
}

// start runs argv in dir with its output in a log file there. HOME and the XDG
// directories point into dir too, so that nothing is left elsewhere.
func start(name, dir string, argv []string) (*process, error) {
	logPath := filepath.Join(dir, name+".log")
	logFile, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	defer logFile.Close() // the child has its own descriptor

	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, log: logPath, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // the state stays in cmd.ProcessState
	}()
	return p, nil
}

// waitReady calls ready until it succeeds, the process ends or ctx does.
func (p *process) waitReady(ctx context.Context, ready func(context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return p.ended()
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; its log ends: %s", p.name, err, p.logEnd())
		}
	}
}

// ended says how the process ended; nil while it runs.
func (p *process) ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended (%v); its log ends: %s", p.name, p.cmd.ProcessState, p.logEnd())
	default:
		return nil
	}
}

func (p *process) logEnd() string {
	out, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return lastLine(out)
}

// stop ends the whole group and waits for its leader.
func (p *process) stop() {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopGrace):
	}
	p.signal(syscall.SIGKILL) // also whoever outlived the leader
	<-p.done
}

func (p *process) signal(sig syscall.Signal) {
	err := syscall.Kill(-p.cmd.Process.Pid, sig)
	if err != nil && !errors.Is(err, syscall.ESRCH) && !errors.Is(err, syscall.EPERM) {
		fmt.Fprintf(os.Stderr, "peers: signal %s: %v\n", p.name, err)
	}
}

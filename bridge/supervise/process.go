package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

const (
	// A child that ends is started again after backoffMin, doubling up to
	// backoffMax. One that lived for steady starts over from backoffMin.
	backoffMin = 100 * time.Millisecond
	backoffMax = 30 * time.Second
	steady     = 10 * time.Second

	// A first child that ends within probation was started wrongly: its arguments
	// or its configuration are not in order.
	probation = 300 * time.Millisecond
)

// Process is a program that is kept running.
type Process struct {
	plan   *plan
	dir    *runDir
	socket *socket
	output *output

	ended  chan string // gets how the first child ended
	cancel context.CancelFunc
	loop   sync.WaitGroup // run
	end    sync.Once      // Close

	lastExit string // for the log; run's alone

	mu  sync.Mutex
	pid int // of the living child; 0: none
}

// Start makes the socket and starts the program. It fails if the program cannot be
// started this first time, or ends at once. Before, it ends what a process of ours that
// was killed has left running.
func Start(cfg Config) (*Process, error) {
	if os.Args[0] == childName {
		return nil, errors.New("supervise.Child was not called first thing in main")
	}
	plan, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	sweep(plan.TempDir, plan.Logger)
	p := &Process{plan: plan, output: newOutput(plan.Logger, plan.Command[0]), ended: make(chan string, 1)}
	if p.dir, err = newRunDir(plan.TempDir); err != nil {
		return nil, err
	}
	if p.socket, err = plan.listen(p.dir.path); err != nil {
		p.removeDir()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	started := make(chan error)
	p.loop.Go(func() { p.run(ctx, started) })
	if err := <-started; err != nil {
		_ = p.Close() // err is what matters
		return nil, fmt.Errorf("command %q: %w", plan.Command[0], err)
	}
	select {
	case exit := <-p.ended:
		_ = p.Close() // nothing is running
		return nil, fmt.Errorf("command %q ended at once: %s (what it printed is in the log)", plan.Command[0], exit)
	case <-time.After(probation):
		return p, nil
	}
}

func (p *Process) removeDir() {
	if err := p.dir.remove(); err != nil {
		p.plan.Logger.Error("removing the command's directory failed", "error", err.Error())
	}
}

// Addr is the application's address, as bridge.Config.Backends takes it.
func (p *Process) Addr() string { return p.socket.addr }

// Pid returns the living child's process id, 0 if there is none now.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

func (p *Process) setPid(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pid = pid
}

// Close ends the child and its process group, SIGTERM first and SIGKILL after
// grace, and removes the socket. Connections to it must be done with. A descendant
// that left the group lives on.
func (p *Process) Close() error {
	p.end.Do(func() {
		p.cancel()
		p.loop.Wait()
		p.output.close()
		_ = p.socket.file.Close()
		p.removeDir()
	})
	return nil
}

// run keeps a child alive until ctx ends. started gets the first start's result.
func (p *Process) run(ctx context.Context, started chan<- error) {
	// PR_SET_PDEATHSIG fires when the thread that started the child ends, so the
	// thread must not.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	pause := backoffMin
	for first := true; ; first = false {
		c, err := p.spawn()
		if first {
			started <- err
			if err != nil {
				return
			}
		}
		begun := time.Now()
		if err != nil {
			p.lastExit = "could not be started: " + err.Error()
		} else {
			p.setPid(c.cmd.Process.Pid)
			alone := c.watch(ctx)
			p.setPid(0)
			if !alone {
				return
			}
			p.lastExit = c.cmd.ProcessState.String()
		}
		if first {
			p.ended <- p.lastExit
		}
		if time.Since(begun) >= steady {
			pause = backoffMin
		}
		p.plan.Logger.Error("the command has ended and will be started again", "command", p.plan.Command[0],
			"exit", p.lastExit, "lived", time.Since(begun).Round(time.Millisecond), "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, backoffMax)
	}
}

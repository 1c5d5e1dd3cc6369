package supervise

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// A first child that ends within probation was started wrongly: its arguments
// or its configuration are not in order.
const probation = 300 * time.Millisecond

// Process is a program that is kept running.
type Process struct {
	plan   *plan
	dir    *runDir
	socket *socket
	output *output

	keeper *keeper

	cancel context.CancelFunc
	loop   sync.WaitGroup // the keeper's run
	end    sync.Once      // Close
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
	p := &Process{plan: plan, output: newOutput(plan.Logger, plan.Command[0])}
	p.keeper = newKeeper(p, plan.Command[0], plan.SpawnBudget, rand.Float64, plan.Logger)
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
	p.loop.Go(func() { p.keeper.run(ctx, started) })
	if err := <-started; err != nil {
		_ = p.Close() // err is what matters
		return nil, fmt.Errorf("command %q: %w", plan.Command[0], err)
	}
	select {
	case exit := <-p.keeper.first:
		_ = p.Close() // nothing is running
		return nil, fmt.Errorf("command %q ended at once: %s (what it printed is in the log)", plan.Command[0], exit.how())
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
func (p *Process) Pid() int { return p.keeper.pid() }

// Served tells that the application began to answer a request at that time. A child that
// ends without having served is not started again as readily as one that has. It is
// cheap, and may be called for every request.
func (p *Process) Served(at time.Time) { p.keeper.answered(at) }

// Refusing reports whether so many children have ended that none is started for a while,
// and for how long that will be. Requests should be refused at once.
func (p *Process) Refusing() (time.Duration, bool) { return p.keeper.refusing() }

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

package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/memlimit"
	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
	"github.com/sluice-proxy/sluice/bridge/supervise/internal/session"
)

// probation is how long the first child must live. One that ends sooner was started wrongly:
// its arguments or its configuration are not in order.
const probation = 300 * time.Millisecond

// Group is a program whose instances are kept running. Its methods may be called by several
// goroutines at once.
type Group struct {
	log        *slog.Logger // does not block
	queue      *logQueue    // writes log
	launcher   *proc.Launcher
	memory     memlimit.Controller // launcher's
	supervisor *supervisor
	usages     usageReader

	limitsMu sync.Mutex
	limits   Memory // that memory has: those in force, or those of a Change

	cancel    context.CancelFunc
	running   sync.WaitGroup // the supervisor's run
	closeOnce sync.Once
}

// Start makes the sockets and starts the instances. It fails if the program cannot be
// started this first time, or ends at once. It waits for 5 s at most: a program that does not
// begin to run because its file system does not answer goes on being started after that. If ctx
// ends meanwhile, Start ends what it has started and returns the cause.
// Before, Start ends what killed processes of this program have left running.
func Start(ctx context.Context, cfg Config) (*Group, error) {
	if proc.IsChild() {
		return nil, errors.New("supervise.Child was not called first thing in main")
	}
	plan, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	g := &Group{queue: newLogQueue(), limits: plan.Memory}
	go g.queue.executor.run() // ends with Close, or when the log can be written
	plan.Logger = g.queue.logger(plan.Logger)
	g.log = plan.Logger
	plan.warnOfRoot()
	if g.launcher, err = proc.NewLauncher(plan.TempDir, plan.Command[0], memlimit.Limits(plan.Memory), g.log); err != nil {
		g.queue.close()
		return nil, err
	}
	g.memory = g.launcher.Memory()
	g.supervisor = newSupervisor(launched{g.launcher}, plan, rand.Float64)
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g.cancel = cancel
	started := make(chan error)
	g.running.Go(func() { g.supervisor.run(running, started) })
	if err = <-started; err == nil {
		err = g.awaitFirst(ctx, probation)
	}
	if err != nil {
		_ = g.Close() // err is what matters
		return nil, fmt.Errorf("command %q: %w", plan.Command[0], err)
	}
	return g, nil
}

// awaitFirst waits until it is known whether the first child has become ready or ended, for d
// at most. It returns the cause of ctx's end if that comes first.
func (g *Group) awaitFirst(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case err := <-g.supervisor.firstResult:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// Close ends all instances, each with its process group, by SIGTERM and 5 s later SIGKILL,
// and removes their sockets. Connections to the instances must have ended. A descendant that
// has left the group lives on, unless it is in a cgroup of the child's. A process that does
// not end although it was killed, because it waits for a disk, is left to the next Start.
func (g *Group) Close() error {
	g.closeOnce.Do(func() {
		g.cancel()
		g.running.Wait()
		if !waitFor(&g.supervisor.tasks, session.KillTimeout) {
			g.log.Error("a look at the processes is not waited for: the system does not answer", "advice", "see whether the disks of this machine answer")
		}
		g.launcher.Close(len(g.supervisor.leftovers) > 0)
		g.queue.close()
	})
	return nil
}

// waitFor waits for wg, for d at most, and reports whether it is done.
func waitFor(wg *sync.WaitGroup, d time.Duration) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	return closedWithin(done, d)
}

// Answered tells that the header of an answer has come from an instance. It must be called for
// every request, and is cheap: the next process after one that has answered is started sooner.
func (g *Group) Answered(addr, route string) { g.supervisor.answered(addr, route) }

// Lost tells that a connection to an instance has ended before the answer to r.
func (g *Group) Lost(addr string, r Request) { g.supervisor.lost(addr, r, time.Now()) }

// Wanted tells that there is a request. It must be called for every request, before that waits
// for anything, and is cheap.
func (g *Group) Wanted() {
	if !g.supervisor.idleShutdownOn.Load() {
		return
	}
	g.supervisor.lastWanted.Store(g.supervisor.ticks(time.Now()))
	if g.supervisor.idle.Load() {
		g.supervisor.wake()
	}
}

// Stalled tells that the application has answered no request since then; zero: it answers.
func (g *Group) Stalled(since time.Time) {
	at := int64(0)
	if !since.IsZero() {
		at = g.supervisor.ticks(since)
	}
	g.supervisor.stalledSince.Store(at)
	g.supervisor.wake()
}

// Refusing reports whether so many processes have ended that none is started for a while, and
// how long that is. Requests should be refused meanwhile. It is cheap.
func (g *Group) Refusing() (time.Duration, bool) {
	until := g.supervisor.refusingUntil.Load()
	if until == 0 {
		return 0, false
	}
	return time.Until(g.supervisor.timeOf(until)), true
}

// Quarantined reports whether requests for a route should be refused, and for how long. It is
// cheap.
func (g *Group) Quarantined(route string) (time.Duration, bool) {
	if g.supervisor.suspects.refused.Load() == nil {
		return 0, false
	}
	return g.supervisor.suspects.isRefused(route, time.Now())
}

// launched is the program of a Group.
type launched struct{ *proc.Launcher }

func (l launched) listen(p *plan, number int) (*proc.Socket, error) {
	return l.NewSocket(p.socket(), number)
}

func (l launched) closeSocket(s *proc.Socket) { l.CloseSocket(s) }

func (l launched) newProcess(p *plan, s *proc.Socket, notify func()) process {
	return l.NewChild(p.command(), s, notify)
}

func (launched) accepts(ctx context.Context, s *proc.Socket) error { return s.AwaitAccept(ctx) }

func (launched) queued(s *proc.Socket) (n int, known bool) { return s.Queued() }

func (l launched) memory() (used uint64, known bool) {
	used, err := l.Memory().Used()
	return used, err == nil
}

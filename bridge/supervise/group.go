package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/acceptqueue"
)

// A first child that ends within probation was started wrongly: its arguments
// or its configuration are not in order.
const probation = 300 * time.Millisecond

// Group is a program whose instances are kept running. Its methods may be called at the
// same time.
type Group struct {
	log    *slog.Logger // does not block
	queue  *logQueue    // what writes it
	dir    *runDir
	meters meters
	output *output
	keeper *keeper

	spawned int // children that were started, or not; the executor's
	usages  usages

	limiting sync.Mutex
	limits   Memory // that are kept, of what holds or of what is prepared

	cancel context.CancelFunc
	loop   sync.WaitGroup // the keeper's run
	end    sync.Once      // Close
}

// Start makes the sockets and starts the instances. It fails if the program cannot be
// started this first time, or ends at once. It waits for launchPatience at most: a program
// that does not begin to run, because its file system does not answer, is then being
// started still. Before, it ends what a process of ours that was killed has left running.
func Start(cfg Config) (*Group, error) {
	if os.Args[0] == childName {
		return nil, errors.New("supervise.Child was not called first thing in main")
	}
	plan, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	g := &Group{queue: newLogQueue(), limits: plan.Memory}
	go g.queue.run() // ends with Close, or when the log can be written
	plan.Logger = g.queue.logger(plan.Logger)
	g.log, g.output = plan.Logger, newOutput(plan.Logger, plan.Command[0])
	g.keeper = newKeeper(g, plan, rand.Float64)
	if err := g.prepare(plan); err != nil {
		g.queue.close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	begun := make(chan error)
	g.loop.Go(func() { g.keeper.run(ctx, begun) })
	if err = <-begun; err == nil {
		err = g.outlast(probation)
	}
	if err != nil {
		_ = g.Close() // err is what matters
		return nil, fmt.Errorf("command %q: %w", plan.Command[0], err)
	}
	return g, nil
}

// prepare makes what all children need.
func (g *Group) prepare(plan *plan) (err error) {
	plan.warnOfRoot()
	sweep(plan.TempDir, plan.Logger)
	if g.dir, err = newRunDir(plan.TempDir); err != nil {
		return err
	}
	if g.meters, err = newMeters(plan.Memory, g.dir.path, plan.Logger); err != nil {
		g.removeDir()
	}
	return err
}

// outlast waits until it is known what the first child comes to, or for d.
func (g *Group) outlast(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case err := <-g.keeper.first:
		return err
	case <-t.C:
		return nil
	}
}

func (g *Group) removeDir() {
	if err := g.dir.remove(); err != nil {
		g.log.Error("removing the command's directory failed", "error", err.Error())
	}
}

// Close ends all instances, each with its process group, SIGTERM first and SIGKILL after
// grace, and removes their sockets. Connections to them must be done with. A descendant
// that left the group lives on, unless the kernel counts its memory. A process that does
// not end although it was killed, because it waits for a disk, is left to the next Start.
func (g *Group) Close() error {
	g.end.Do(func() {
		g.cancel()
		g.loop.Wait()
		if !waitFor(&g.keeper.tasks, killTime) {
			g.log.Error("a look at the processes is not waited for: the system does not answer")
		}
		g.output.close()
		if len(g.keeper.left) > 0 {
			g.dir.leave()
		} else {
			g.removeAll()
		}
		g.queue.close()
	})
	return nil
}

// removeAll removes what all children had.
func (g *Group) removeAll() {
	if err := g.meters.close(); err != nil {
		g.log.Error("giving up the memory meters failed", "error", err.Error())
	}
	g.removeDir()
}

// waitFor waits for wg, for so long, and reports whether it is done.
func waitFor(wg *sync.WaitGroup, d time.Duration) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	return closedWithin(done, d)
}

// Answered tells that the header of an answer has come from an instance. A child that
// ends without having answered is not followed as readily as one that has. It is cheap,
// and is to be called for every request.
func (g *Group) Answered(addr, route string) { g.keeper.answered(addr, route) }

// Lost tells that a connection to an instance has ended before the answer to r did.
func (g *Group) Lost(addr string, r Request) { g.keeper.lost(addr, r, time.Now()) }

// Wanted tells that there is a request. It is cheap, and is to be called for every one,
// before it waits for anything.
func (g *Group) Wanted() {
	if !g.keeper.shy.Load() {
		return
	}
	g.keeper.wanted.Store(g.keeper.ticks(time.Now()))
	if g.keeper.resting.Load() {
		g.keeper.nudge()
	}
}

// Stalled tells that nobody has been answered since then; zero: somebody has.
func (g *Group) Stalled(since time.Time) {
	at := int64(0)
	if !since.IsZero() {
		at = g.keeper.ticks(since)
	}
	g.keeper.stalled.Store(at)
	g.keeper.nudge()
}

// Refusing reports whether so many children have ended that none is started for a while,
// and for how long that will be. Requests should be refused at once. It is cheap.
func (g *Group) Refusing() (time.Duration, bool) {
	until := g.keeper.refusing.Load()
	if until == 0 {
		return 0, false
	}
	return time.Until(g.keeper.when(until)), true
}

// Quarantined reports whether requests for a route are to be refused, and for how long.
// It is cheap.
func (g *Group) Quarantined(route string) (time.Duration, bool) {
	if g.keeper.suspects.refused.Load() == nil {
		return 0, false
	}
	return g.keeper.suspects.isRefused(route, time.Now())
}

// The rest is what the keeper needs of a program.

func (g *Group) listen(p *plan, number int) (*socket, error) {
	return p.listen(g.dir.path, fmt.Sprintf("app-%d", number))
}

func (g *Group) shut(s *socket) {
	if err := errors.Join(s.close(), g.dir.forget(s.name)); err != nil {
		g.log.Error("giving up a socket failed", "instance", s.addr, "error", err.Error())
	}
}

// accepts connects to a child, and waits until it has accepted that.
func (g *Group) accepts(ctx context.Context, s *socket) error {
	network := "tcp"
	addr := s.addr
	if s.path != "" {
		network, addr = "unix", s.path
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, peekEvery) {
		if n, known := g.queued(s); !known || n == 0 {
			return nil // where it is not known, that it listens is all there is
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}

func (g *Group) queued(s *socket) (int, bool) {
	network, addr := "tcp", s.addr
	if s.path != "" {
		network, addr = "unix", s.path
	}
	q, err := acceptqueue.Of(network, addr)
	return q.Depth, err == nil
}

func (g *Group) memory() (uint64, bool) {
	used, err := g.meters.used()
	return used, err == nil
}

package supervise

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
)

// simulation is a program whose children behave at random. simulation_front_test.go is its Front.
type simulation struct {
	t   *testing.T
	sup *supervisor

	mu          sync.Mutex
	rng         *rand.Rand
	faultless   bool          // no more faults
	maxChildren int           // children that may exist at once
	children    []*simProcess // of which something is left, the oldest first
	started     int           // all children so far
	instances   map[string]*simInstance
	waiting     int      // requests, for the application
	events      []string // and the log, for failures
}

// simProcess is a child in a simulation.
type simProcess struct {
	sim    *simulation
	n      int
	addr   string
	begun  time.Time
	notify func()

	// Guarded by simulation.mu.
	ready       time.Duration // accepts connections
	ends        time.Duration // from SIGTERM to the exit
	groupEnds   time.Duration // from the exit to the end of the group
	used        uint64
	status      int // exit status
	died        time.Time
	left        bool // nothing is left of the group
	fails       bool // cannot be started
	killedEarly bool // killed before its launch

	running, exited chan struct{}
}

// chance reports whether a fault happens that has a probability of 1/n.
func (w *simulation) chance(n int) bool { return !w.faultless && w.rng.IntN(n) == 0 }

// upTo draws a duration below d.
func upTo(rng *rand.Rand, d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }

// note records an event.
func (w *simulation) note(format string, args ...any) {
	w.events = append(w.events, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// Write records the log.
func (w *simulation) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, strings.TrimSpace(string(line)))
	return len(line), nil
}

// at is the child at an address; nil if nothing of one is left.
func (w *simulation) at(addr string) *simProcess {
	i := slices.IndexFunc(w.children, func(c *simProcess) bool { return c.addr == addr })
	if i < 0 {
		return nil
	}
	return w.children[i]
}

// accepts reports whether a child accepts connections.
func (c *simProcess) accepts() bool {
	return c != nil && c.lives() && c.runs() && time.Since(c.begun) >= c.ready
}

func (c *simProcess) lives() bool { return !isClosed(c.exited) }

func (c *simProcess) runs() bool { return isClosed(c.running) }

func (w *simulation) listen(_ *plan, number int) (*proc.Socket, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.chance(30) {
		return nil, errors.New("no socket")
	}
	return &proc.Socket{Addr: fmt.Sprintf("app-%d", number)}, nil
}

func (w *simulation) closeSocket(*proc.Socket) {}

func (w *simulation) queued(*proc.Socket) (int, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return 0, w.rng.IntN(2) == 0
}

func (w *simulation) memory() (used uint64, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.children {
		used += c.used
	}
	return used, true
}

func (w *simulation) accepts(ctx context.Context, at *proc.Socket) error {
	w.mu.Lock()
	wait := time.Hour
	if c := w.at(at.Addr); c != nil {
		wait = c.ready
	}
	w.mu.Unlock()
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answers is a Config.Ready.
func (w *simulation) answers(_ context.Context, addr string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.at(addr).accepts() {
		return errors.New("not yet")
	}
	return nil
}

func (w *simulation) newProcess(_ *plan, at *proc.Socket, notify func()) process {
	return &simProcess{sim: w, addr: at.Addr, notify: notify, running: make(chan struct{}), exited: make(chan struct{})}
}

// Launch starts a child, which may take a while.
func (c *simProcess) Launch() {
	w := c.sim
	w.mu.Lock()
	if c.killedEarly {
		c.died, c.left = time.Now(), true
		w.mu.Unlock()
		close(c.exited)
		c.notify()
		return
	}
	if other := w.at(c.addr); other != nil {
		w.t.Errorf("%s: child %d is there already", c.addr, other.n)
	}
	w.started++
	c.n, c.begun = w.started, time.Now()
	w.note("child %d is launched at %s", c.n, c.addr)
	if w.children = append(w.children, c); len(w.children) > w.maxChildren {
		w.t.Errorf("there are %d children, %d may be there", len(w.children), w.maxChildren)
	}
	if c.ends, c.fails = upTo(w.rng, 3*time.Second), w.chance(20); w.chance(40) {
		c.ends = 10 * time.Minute // waits for a disk
	}
	wait := time.Duration(0)
	if w.chance(5) {
		wait = upTo(w.rng, time.Minute)
	}
	if w.chance(30) {
		wait = time.Hour // its file system does not answer
	}
	w.mu.Unlock()
	time.AfterFunc(wait, c.run)
}

// run ends the launch.
func (c *simProcess) run() {
	w := c.sim
	w.mu.Lock()
	defer c.notify()
	defer w.mu.Unlock()
	switch {
	case !c.lives():
	case c.fails:
		w.note("child %d at %s cannot be started", c.n, c.addr)
		time.AfterFunc(0, c.die)
	default:
		w.note("child %d runs at %s", c.n, c.addr)
		c.begun = time.Now()
		c.live()
		close(c.running)
	}
}

// live draws the behaviour of a child.
func (c *simProcess) live() {
	w := c.sim
	if c.ready, c.used = 50*time.Millisecond, 100*mib; w.faultless {
		return
	}
	switch w.rng.IntN(5) {
	case 0:
		time.AfterFunc(upTo(w.rng, time.Second), c.die)
	case 1:
		time.AfterFunc(upTo(w.rng, time.Minute), c.die)
	case 2:
		c.ready = upTo(w.rng, 2*time.Minute)
	}
	if w.chance(4) {
		c.groupEnds = upTo(w.rng, 4*time.Second)
	}
	c.used = uint64(50+w.rng.IntN(200)) * mib
	c.status = w.rng.IntN(2)
}

// die has a child exit, and its connections end, unless it has exited.
func (c *simProcess) die() {
	w := c.sim
	w.mu.Lock()
	if !c.lives() {
		w.mu.Unlock()
		return
	}
	w.note("child %d at %s dies", c.n, c.addr)
	c.died = time.Now()
	lost := w.instances[c.addr].cut()
	close(c.exited)
	time.AfterFunc(c.groupEnds, c.leave)
	w.mu.Unlock()
	for _, r := range lost {
		w.sup.lost(c.addr, r, time.Now())
	}
	c.notify()
}

// leave ends the group of a child.
func (c *simProcess) leave() {
	w := c.sim
	w.mu.Lock()
	c.left = true
	w.children = slices.DeleteFunc(w.children, func(other *simProcess) bool { return other == c })
	w.mu.Unlock()
	c.notify()
}

func (c *simProcess) PID() int {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	return c.n
}

func (c *simProcess) Launched() <-chan struct{} { return c.running }
func (c *simProcess) Exited() <-chan struct{}   { return c.exited }
func (c *simProcess) Dump(syscall.Signal)       {}
func (c *simProcess) OOMKills() uint64          { return 0 }
func (c *simProcess) Lines() []string           { return nil }

func (c *simProcess) Reaped() (proc.Exit, bool) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	e := proc.Exit{Time: c.died, PID: c.n, Status: c.status}
	if !c.runs() {
		e.Err = "no such program"
	}
	return e, c.left
}

func (c *simProcess) Stop(after time.Duration) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	if c.killedEarly = c.n == 0; c.killedEarly {
		return
	}
	c.sim.checkStop(c)
	time.AfterFunc(after+c.ends, c.die)
}

func (c *simProcess) Kill() {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	if c.killedEarly = c.n == 0; c.killedEarly {
		return
	}
	time.AfterFunc(c.ends/10, c.die)
}

func (c *simProcess) Memory() (uint64, bool) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	return c.used, true
}

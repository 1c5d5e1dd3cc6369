package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
)

const mib = 1 << 20

// script is a program whose children behave as the test says, and the Front.
type script struct {
	t        *testing.T
	behave   func(n int) behaviour // of the nth child, from 0
	sup      *supervisor
	group    *Group
	maxAlive int         // children that may be alive at once
	stuck    int         // children that are left at the end
	started  []time.Time // the starts of all children
	log      bytes.Buffer

	result chan error               // of the first start
	atEnd  func(took time.Duration) // is called after the end; may be nil

	used uint64 // memory of all children; 0: the sum of theirs

	mu    sync.Mutex
	alive map[int]*scripted // by number
	calls []string          // of Front
	busy  map[string]time.Duration
	load  Load

	connected int          // connections to each instance
	queue     atomic.Int64 // those that wait to be accepted; negative: not known
	inFlight  []Request
}

// behaviour is that of a child. Times count from its launch.
type behaviour struct {
	fails     bool          // cannot be started
	launch    time.Duration // how long the start takes, or its failure
	stuck     bool          // does not end although it is killed
	serves    time.Duration // the first answer; 0: none
	late      time.Duration // how much later that is reported
	lives     time.Duration // until the exit; 0: for ever
	clean     bool          // exits with status 0
	ready     time.Duration // accepts connections
	ends      time.Duration // from SIGTERM to the exit
	groupEnds time.Duration // from the exit to the end of the group
	memory    uint64
	oomKills  uint64    // see process.OOMKills
	losses    []Request // requests that the exit hits
}

// forEver is longer than any test.
const forEver = 100 * 365 * 24 * time.Hour

type scripted struct {
	s       *script
	n       int
	life    behaviour
	addr    string
	notify  func()
	running chan struct{}
	exited  chan struct{}
	reaped  chan struct{}
	at      time.Time
	killed  context.Context
	quit    context.CancelFunc
	dumped  atomic.Bool
}

func (s *script) listen(_ *plan, number int) (*proc.Socket, error) {
	return &proc.Socket{Addr: fmt.Sprintf("app-%d", number)}, nil
}

func (s *script) closeSocket(*proc.Socket) {}

func (s *script) queued(*proc.Socket) (int, bool) {
	n := s.queue.Load()
	return int(n), n >= 0
}

func (s *script) memory() (uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	used := s.used
	for _, c := range s.alive {
		if s.used == 0 {
			used += c.life.memory
		}
	}
	return used, true
}

func (s *script) accepts(ctx context.Context, at *proc.Socket) error {
	s.mu.Lock()
	wait := time.Hour
	for _, c := range s.alive {
		if c.addr == at.Addr {
			wait = c.life.ready - time.Since(s.started[c.n])
		}
	}
	s.mu.Unlock()
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *script) newProcess(_ *plan, at *proc.Socket, notify func()) process {
	c := &scripted{
		s: s, n: -1, addr: at.Addr, notify: notify,
		running: make(chan struct{}), exited: make(chan struct{}), reaped: make(chan struct{}),
	}
	c.killed, c.quit = context.WithCancel(context.Background())
	return c
}

func (c *scripted) Launch() {
	s := c.s
	s.mu.Lock()
	c.n = len(s.started)
	s.started = append(s.started, time.Now())
	c.life = s.behave(c.n)
	if !c.life.fails {
		s.alive[c.n] = c
	}
	if len(s.alive) > s.maxAlive {
		s.t.Errorf("%d children live", len(s.alive))
	}
	s.mu.Unlock()
	go c.live()
}

// within waits for d, and reports whether the child was not killed meanwhile.
func (c *scripted) within(d time.Duration) bool {
	if c.life.stuck {
		time.Sleep(d)
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-c.killed.Done():
		return false
	}
}

func (c *scripted) live() {
	s, l := c.s, c.life
	if l.launch == 0 || c.within(l.launch) {
		if !l.fails {
			c.run()
		}
	}
	c.at = time.Now()
	close(c.exited)
	c.notify()
	time.Sleep(l.groupEnds)
	s.mu.Lock()
	delete(s.alive, c.n)
	s.mu.Unlock()
	close(c.reaped)
	c.notify()
}

func (c *scripted) run() {
	s, l := c.s, c.life
	close(c.running)
	c.notify()
	if l.serves > 0 {
		time.AfterFunc(l.serves+l.late, func() { s.sup.answered(c.addr, "/") })
	}
	lasts := l.lives
	if lasts == 0 {
		lasts = forEver
	}
	c.within(lasts)
	for _, r := range l.losses {
		s.sup.lost(c.addr, r, time.Now())
	}
}

func (c *scripted) PID() int {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return 1000 + c.n
}

func (c *scripted) Lines() []string           { return []string{fmt.Sprintf("words of %d", c.PID()-1000)} }
func (c *scripted) Launched() <-chan struct{} { return c.running }
func (c *scripted) Exited() <-chan struct{}   { return c.exited }
func (c *scripted) Dump(syscall.Signal)       { c.dumped.Store(true) }
func (c *scripted) OOMKills() uint64          { return c.life.oomKills }
func (c *scripted) Kill()                     { c.quit() }
func (c *scripted) Stop(after time.Duration) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	time.AfterFunc(after+c.life.ends, c.quit)
}

// Memory is 0 for a child that has exited, as /proc shows it.
func (c *scripted) Memory() (uint64, bool) {
	if isClosed(c.exited) {
		return 0, true
	}
	return c.life.memory, true
}

func (c *scripted) Reaped() (proc.Exit, bool) {
	if !isClosed(c.reaped) {
		return proc.Exit{}, false
	}
	e := proc.Exit{Time: c.at, PID: c.PID(), Status: 3, Lines: c.Lines()}
	switch {
	case c.life.fails:
		e.PID, e.Status, e.Err = 0, -1, "no such program"
	case c.life.clean:
		e.Status = 0
	}
	return e, true
}

// logged is what the log says between two passes.
func (s *script) logged() (text string) {
	s.living() // orders this after the executor's writes
	s.sup.call(func() { text = s.log.String() })
	return text
}

// starts is how many children were started.
func (s *script) starts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.started)
}

// living is how many children are alive.
func (s *script) living() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.alive)
}

// allow sets how many children may be alive at once.
func (s *script) allow(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxAlive = n
}

// keepBusy sets how long requests at an instance take to finish.
func (s *script) keepBusy(addr string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[addr] = d
}

func (s *script) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
}

func (s *script) Add(addr string, _ func() bool) error {
	s.note("add %s", addr)
	return nil
}

func (s *script) Drain(addr string) <-chan struct{} {
	s.note("drain %s", addr)
	done := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	time.AfterFunc(s.busy[addr], func() { close(done) })
	return done
}

func (s *script) Resume(addr string) { s.note("resume %s", addr) }
func (s *script) Remove(addr string) { s.note("remove %s", addr) }
func (s *script) Fail(addr string)   { s.note("fail %s", addr) }
func (s *script) Down()              { s.note("down") }

func (s *script) Load() Load {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.load
}

func (s *script) Connected(string) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connected, true
}

func (s *script) InFlight(string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inFlight
}

// superviseAs supervises children that behave as described for d, and then calls then.
func superviseAs(t *testing.T, cfg Config, d time.Duration, next func(n int) behaviour, then func(s *script, log string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &script{t: t, behave: next, maxAlive: max(cfg.Instances, 1), alive: make(map[int]*scripted), busy: make(map[string]time.Duration)}
		cfg.Command = []string{"app"}
		cfg.Logger = slog.New(slog.NewTextHandler(&s.log, nil))
		cfg.Front = s
		p := &plan{Config: cfg}
		if err := errors.Join(p.SpawnBudget.normalize(), p.normalize()); err != nil {
			t.Fatal(err)
		}
		s.sup = newSupervisor(s, p, func() float64 { return 0.5 })
		s.group = &Group{supervisor: s.sup, log: s.sup.log}
		ctx, cancel := context.WithCancel(t.Context())
		s.result = make(chan error, 1)
		s.queue.Store(-1)
		go s.sup.run(ctx, s.result)
		time.Sleep(d)
		synctest.Wait()
		then(s, s.logged())
		ended := time.Now()
		cancel()
		<-s.sup.done
		if s.atEnd != nil {
			s.atEnd(time.Since(ended))
		}
		s.sup.tasks.Wait()
		if n := s.living(); n != s.stuck {
			t.Errorf("%d children are left, want %d", n, s.stuck)
		}
		if s.stuck > 0 {
			time.Sleep(2 * forEver)
		}
	})
}

// superviseOne does that for one instance.
func superviseOne(t *testing.T, b Budget, d time.Duration, next func(n int) behaviour, then func(s *script, log string)) {
	t.Helper()
	superviseAs(t, Config{SpawnBudget: b}, d, next, then)
}

// snapshot is the supervisor's.
func (s *script) snapshot() (shot Snapshot) {
	s.sup.call(func() { shot = s.sup.snapshot() })
	return shot
}

func (s *script) refusing() (time.Duration, bool) {
	until := s.sup.refusingUntil.Load()
	return time.Until(s.sup.timeOf(until)), until != 0
}

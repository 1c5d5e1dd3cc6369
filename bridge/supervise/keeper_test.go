package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// script is a program whose children do what it says, and whoever sends requests to them.
type script struct {
	t     *testing.T
	next  func(n int) life // of the nth child, from 0
	k     *keeper
	most  int         // children that may live at once
	begun []time.Time // of all children
	log   bytes.Buffer

	used uint64 // memory of all; 0: what each uses

	mu     sync.Mutex
	alive  map[int]*scripted // by number
	calls  []string          // what Front was told
	busy   map[string]time.Duration
	load   Load
	flight []Request
}

// life is a child's.
type life struct {
	fails   bool          // it cannot be started
	serves  time.Duration // when it answers for the first time; 0: never
	late    time.Duration // how much later that is told
	lasts   time.Duration // 0: for ever
	ready   time.Duration // when it accepts connections
	ends    time.Duration // how long it takes to end when it is told to
	lingers time.Duration // how long something of it is left then
	memory  uint64
	starved uint64    // how often the kernel has killed something of it
	losses  []Request // what its end hits
}

type scripted struct {
	s      *script
	n      int
	life   life
	addr   string
	gone   chan struct{}
	buried chan struct{}
	at     time.Time
	quit   context.CancelFunc
	dumped atomic.Bool
}

func (s *script) listen(_ *plan, number int) (*socket, error) {
	return &socket{addr: fmt.Sprintf("app-%d", number)}, nil
}

func (s *script) shut(*socket)               {}
func (s *script) queued(*socket) (int, bool) { return 0, false }

func (s *script) limit(Memory) (bool, error) { return false, nil }
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

func (s *script) accepts(ctx context.Context, at *socket) error {
	s.mu.Lock()
	wait := time.Hour
	for _, c := range s.alive {
		if c.addr == at.addr {
			wait = c.life.ready
		}
	}
	s.mu.Unlock()
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *script) spawn(_ *plan, at *socket, news func()) (process, error) {
	s.mu.Lock()
	n := len(s.begun)
	s.begun = append(s.begun, time.Now())
	l := s.next(n)
	s.mu.Unlock()
	if l.fails {
		return nil, errors.New("no such program")
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &scripted{s: s, n: n, life: l, addr: at.addr, gone: make(chan struct{}), buried: make(chan struct{}), quit: stop}
	s.mu.Lock()
	s.alive[n] = c
	if len(s.alive) > s.most {
		s.t.Errorf("%d children live", len(s.alive))
	}
	s.mu.Unlock()
	if l.serves > 0 {
		time.AfterFunc(l.serves+l.late, func() { s.k.answered(at.addr, "/") })
	}
	go func() {
		if l.lasts == 0 {
			<-ctx.Done()
		} else {
			select {
			case <-time.After(l.lasts):
			case <-ctx.Done():
			}
		}
		for _, r := range l.losses {
			s.k.lost(at.addr, r, time.Now())
		}
		c.at = time.Now()
		close(c.gone)
		news()
		time.Sleep(l.lingers)
		s.mu.Lock()
		delete(s.alive, n)
		s.mu.Unlock()
		close(c.buried)
		news()
	}()
	return c, nil
}

func (c *scripted) pid() int               { return 1000 + c.n }
func (c *scripted) lines() []string        { return []string{fmt.Sprintf("words of %d", c.n)} }
func (c *scripted) dead() <-chan struct{}  { return c.gone }
func (c *scripted) memory() (uint64, bool) { return c.life.memory, true }
func (c *scripted) dump(syscall.Signal)    { c.dumped.Store(true) }
func (c *scripted) starved() uint64        { return c.life.starved }
func (c *scripted) kill()                  { c.quit() }
func (c *scripted) stop(after time.Duration) {
	time.AfterFunc(after+c.life.ends, c.quit)
}

func (c *scripted) end() (Exit, bool) {
	if !isClosed(c.buried) {
		return Exit{}, false
	}
	return Exit{Time: c.at, PID: c.pid(), Status: 3, Lines: c.lines()}, true
}

// logged is what the log says, when nothing is going on.
func (s *script) logged() (text string) {
	s.k.ask(func() { text = s.log.String() })
	return text
}

// starts is how many children there were.
func (s *script) starts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.begun)
}

// living is how many there are.
func (s *script) living() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.alive)
}

// allow has so many live at once.
func (s *script) allow(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = n
}

// keepBusy has requests at an instance take so long to finish.
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

func (s *script) InFlight(string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flight
}

// keepAs runs the script for d, as the configuration says.
func keepAs(t *testing.T, cfg Config, d time.Duration, next func(n int) life, then func(s *script, log string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &script{t: t, next: next, most: max(cfg.Instances, 1), alive: make(map[int]*scripted), busy: make(map[string]time.Duration)}
		cfg.Command = []string{"app"}
		cfg.Logger = slog.New(slog.NewTextHandler(&s.log, nil))
		cfg.Front = s
		p := &plan{Config: cfg}
		if err := errors.Join(p.SpawnBudget.normalize(), p.normalize()); err != nil {
			t.Fatal(err)
		}
		s.k = newKeeper(s, p, func() float64 { return 0.5 })
		ctx, cancel := context.WithCancel(t.Context())
		begun := make(chan error, 1)
		go s.k.run(ctx, begun)
		time.Sleep(d)
		synctest.Wait()
		then(s, s.logged())
		cancel()
		<-s.k.done
		s.k.tasks.Wait()
		if len(s.alive) != 0 {
			t.Errorf("%d children are left", len(s.alive))
		}
	})
}

// keep runs the script of one instance for d.
func keep(t *testing.T, b Budget, d time.Duration, next func(n int) life, then func(s *script, log string)) {
	t.Helper()
	keepAs(t, Config{SpawnBudget: b}, d, next, then)
}

// shot is what the keeper's snapshot says.
func (s *script) shot() (shot Snapshot) {
	s.k.ask(func() { shot = s.k.snapshot() })
	return shot
}

func (s *script) refusing() (time.Duration, bool) {
	until := s.k.refusing.Load()
	return time.Until(s.k.when(until)), until != 0
}

// A child that never serves: a minute between starts at most, then one in ten minutes.
func TestNeverServes(t *testing.T) {
	keep(t, Budget{}, 24*time.Hour, func(int) life { return life{lasts: 10 * time.Millisecond} }, func(s *script, log string) {
		if n := len(s.begun); n < 140 || n > 155 {
			t.Errorf("%d starts in a day, want 10 and 144 or so", n)
		}
		if shot := s.shot(); shot.Breaker != "open" || shot.Instances[0].State != "broken" || shot.Instances[0].PID != 0 ||
			!shot.Storm.On || shot.Storm.Deaths != len(s.begun) || len(shot.Storm.Exits) != keptExits {
			t.Errorf("the snapshot is %+v", shot)
		}
		if retry, refusing := s.refusing(); !refusing || retry <= 0 || retry > 10*time.Minute {
			t.Errorf("refusing %v for %v", refusing, retry)
		}
		count := func(text string) int { return strings.Count(log, text) }
		if n := count("a storm begins"); n != 1 {
			t.Errorf("%d storms began", n)
		}
		if n := count("the storm goes on"); n < 24*60-3 || n > 24*60 {
			t.Errorf("the storm was told of %d times in a day, want once a minute", n)
		}
		if n := count("no more processes are started for now"); n != 1 {
			t.Errorf("the breaker was told of %d times", n)
		}
		if n := count("msg=\"the command has ended\""); n != stormDeaths {
			t.Errorf("%d single deaths were told of, want those before the storm", n)
		}
		if !strings.Contains(log, `exit status 3 after 10ms, served nothing, last words [\"words of 0\"]`) {
			t.Errorf("the log lacks how it ended:\n%s", log[:2000])
		}
	})
}

// It is started again at once when a probe has served, and not before.
func TestBreakerCloses(t *testing.T) {
	keep(t, Budget{Spawns: 3, Per: time.Minute}, 10*time.Minute, func(n int) life {
		if n < 5 {
			return life{lasts: 10 * time.Millisecond}
		}
		return life{serves: time.Minute}
	}, func(s *script, log string) {
		var pauses []string
		for i := range s.begun[1:] {
			pauses = append(pauses, s.begun[i+1].Sub(s.begun[i]).Round(time.Second).String())
		}
		if got, want := strings.Join(pauses, " "), "1s 2s 1m0s 1m0s 1m0s"; got != want {
			t.Errorf("pauses were %s, want %s", got, want)
		}
		if _, refusing := s.refusing(); refusing {
			t.Error("it is still refusing")
		}
		shot := s.shot()
		in := shot.Instances[0]
		if shot.Breaker != "closed" || shot.Budget.Left != 3 || shot.Storm.On || shot.Storm.Deaths != 5 ||
			in.State != "serving" || in.PID != 1005 || in.Restarts != 5 || in.Answered != 1 || len(shot.Storm.Exits) != 5 || in.Lines[0] != "words of 5" {
			t.Errorf("the snapshot is %+v", shot)
		}
		if !strings.Contains(log, "serves again") || !strings.Contains(log, "the storm is over") {
			t.Errorf("the log says\n%s", log)
		}
	})
}

// While a probe runs, requests are let through: it could not serve otherwise.
func TestProbeIsAsked(t *testing.T) {
	keep(t, Budget{Spawns: 1, Per: time.Minute}, 90*time.Second, func(n int) life {
		if n == 0 {
			return life{lasts: time.Millisecond}
		}
		return life{}
	}, func(s *script, _ string) {
		if _, refusing := s.refusing(); refusing || s.shot().Instances[0].State != "probing" {
			t.Errorf("state %v, refusing %v", s.shot().Instances[0].State, refusing)
		}
	})
}

// A child that serves and dies every 3.6 s: the application is there most of the time,
// for ever, and the log is not flooded.
func TestServesAndDies(t *testing.T) {
	const hours = 6
	const each = 3600 * time.Millisecond
	keep(t, Budget{}, hours*time.Hour, func(int) life { return life{serves: 500 * time.Millisecond, lasts: each} }, func(s *script, log string) {
		there := time.Duration(len(s.begun)) * each
		if there < hours*time.Hour*4/5 {
			t.Errorf("there for %v of %d h, in %d lives", there, hours, len(s.begun))
		}
		if n := strings.Count(log, "\n"); n > hours*60+20 {
			t.Errorf("%d lines of log", n)
		}
		if strings.Count(log, "a storm begins") != 1 || !strings.Contains(log, "ended_last_minute=13") {
			t.Errorf("the log says\n%s", log[:min(len(log), 3000)])
		}
		if at := s.begun[1].Sub(s.begun[0]); at != each {
			t.Errorf("the second start was after %v, want at once", at)
		}
	})
}

// Those who prefer it have it stopped.
func TestServesAndDiesStop(t *testing.T) {
	keep(t, Budget{Stop: true}, time.Hour, func(int) life { return life{serves: 500 * time.Millisecond, lasts: 3 * time.Second} }, func(s *script, _ string) {
		// Every probe serves, which closes the breaker and restores the budget.
		if n := len(s.begun); n < 40 || n > 70 {
			t.Errorf("%d starts in an hour, want ten or so in ten minutes", n)
		}
	})
}

// The answer of a child that dies with it may be told of after its death.
func TestServedIsToldLate(t *testing.T) {
	keep(t, Budget{}, 10*time.Second, func(n int) life {
		if n == 0 {
			return life{serves: time.Second, late: 50 * time.Millisecond, lasts: time.Second}
		}
		return life{}
	}, func(s *script, log string) {
		if len(s.begun) != 2 || s.begun[1].Sub(s.begun[0]) != 1050*time.Millisecond {
			t.Errorf("starts %v", s.begun)
		}
		if strings.Contains(log, "served nothing") {
			t.Errorf("the log says\n%s", log)
		}
	})
}

// A program that cannot be started is a child that died.
func TestCannotBeStarted(t *testing.T) {
	keep(t, Budget{Spawns: 4}, time.Hour, func(n int) life {
		if n == 0 {
			return life{serves: time.Second, lasts: 2 * time.Second}
		}
		return life{fails: true}
	}, func(s *script, log string) {
		if n := len(s.begun); n != 1+4+5 {
			t.Errorf("%d starts, want the first, four until the breaker, and a probe each ten minutes", n)
		}
		if !strings.Contains(log, "could not be started: no such program") {
			t.Errorf("the log says\n%s", log)
		}
	})
}

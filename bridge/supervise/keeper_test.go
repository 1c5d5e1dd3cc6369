package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// script is a program whose children do what it says.
type script struct {
	t     *testing.T
	next  func(n int) life // of the nth child, from 0
	k     *keeper
	alive int
	begun []time.Time // of all children
}

// life is a child's.
type life struct {
	fails  bool          // it cannot be started
	serves time.Duration // when it answers for the first time; 0: never
	late   time.Duration // how much later that is told
	lasts  time.Duration // 0: for ever
}

type scripted struct {
	s    *script
	n    int
	gone chan struct{}
	kill context.CancelFunc
}

func (s *script) spawn() (process, error) {
	n := len(s.begun)
	s.begun = append(s.begun, time.Now())
	l := s.next(n)
	if l.fails {
		return nil, errors.New("no such program")
	}
	if s.alive++; s.alive > 1 {
		s.t.Errorf("%d children live", s.alive)
	}
	ctx, kill := context.WithCancel(context.Background())
	c := &scripted{s: s, n: n, gone: make(chan struct{}), kill: kill}
	if l.serves > 0 {
		answer := time.Now().Add(l.serves)
		time.AfterFunc(l.serves+l.late, func() { s.k.answered(answer) })
	}
	go func() {
		defer close(c.gone)
		if l.lasts == 0 {
			<-ctx.Done()
			return
		}
		select {
		case <-time.After(l.lasts):
		case <-ctx.Done():
		}
	}()
	return c, nil
}

func (c *scripted) pid() int               { return 1000 + c.n }
func (c *scripted) lines() []string        { return []string{fmt.Sprintf("words of %d", c.n)} }
func (c *scripted) ended() <-chan struct{} { return c.gone }

func (c *scripted) bury() Exit {
	c.kill()
	<-c.gone
	c.s.alive--
	return Exit{PID: c.pid(), Status: 3, Lines: c.lines()}
}

func (c *scripted) end() {
	c.kill()
	c.bury()
}

// keep runs the script for d.
func keep(t *testing.T, b Budget, d time.Duration, next func(n int) life, then func(s *script, log string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if err := b.normalize(); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		s := &script{t: t, next: next}
		s.k = newKeeper(s, "app", b, func() float64 { return 0.5 }, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		done, begun := make(chan struct{}), make(chan error, 1)
		go func() {
			defer close(done)
			s.k.run(ctx, begun)
		}()
		time.Sleep(d)
		synctest.Wait()
		then(s, log.String())
		cancel()
		<-done
		if s.alive != 0 {
			t.Errorf("%d children are left", s.alive)
		}
	})
}

// A child that never serves: a minute between starts at most, then one in ten minutes.
func TestNeverServes(t *testing.T) {
	keep(t, Budget{}, 24*time.Hour, func(int) life { return life{lasts: 10 * time.Millisecond} }, func(s *script, log string) {
		if n := len(s.begun); n < 140 || n > 155 {
			t.Errorf("%d starts in a day, want 10 and 144 or so", n)
		}
		if shot := s.k.snapshot(); shot.Breaker != "open" || shot.Instances[0].State != "broken" || shot.Instances[0].PID != 0 ||
			!shot.Storm.On || shot.Storm.Deaths != len(s.begun) || len(shot.Instances[0].Exits) != keptExits {
			t.Errorf("the snapshot is %+v", shot)
		}
		if retry, refusing := s.k.refusing(); !refusing || retry <= 0 || retry > 10*time.Minute {
			t.Errorf("refusing %v for %v", refusing, retry)
		}
		count := func(text string) int { return strings.Count(log, text) }
		if n := count("a storm begins"); n != 1 {
			t.Errorf("%d storms began", n)
		}
		if n := count("the storm goes on"); n < 24*60-3 || n > 24*60 {
			t.Errorf("the storm was told of %d times in a day, want once a minute", n)
		}
		if n := count("is not started again for now"); n != 1 {
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
		if _, refusing := s.k.refusing(); refusing {
			t.Error("it is still refusing")
		}
		shot := s.k.snapshot()
		in := shot.Instances[0]
		if shot.Breaker != "closed" || shot.Budget.Left != 3 || shot.Storm.On || shot.Storm.Deaths != 5 ||
			in.State != "serving" || in.PID != 1005 || in.Restarts != 5 || in.Answered != 1 || len(in.Exits) != 5 || in.Lines[0] != "words of 5" {
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
		if _, refusing := s.k.refusing(); refusing || s.k.machine.state != Probing {
			t.Errorf("state %v, refusing %v", s.k.machine.state, refusing)
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

// What a child answered is no merit of the next.
func TestServedByThePredecessor(t *testing.T) {
	keep(t, Budget{}, 10*time.Second, func(n int) life {
		if n == 0 {
			return life{serves: 999 * time.Millisecond, late: 2 * time.Second, lasts: time.Second}
		}
		return life{lasts: 5 * time.Second}
	}, func(s *script, _ string) {
		for i, e := range s.k.storm.exits {
			if e.Served {
				t.Errorf("child %d has served: %v", i, e)
			}
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

// Many requests may be answered at once: the first counts.
func TestServedByMany(t *testing.T) {
	k := newKeeper(nil, "app", Budget{}, nil, slog.New(slog.DiscardHandler))
	for range 500 {
		m := &merit{served: make(chan struct{})}
		k.merit.Store(m)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() { k.answered(epoch) })
		}
		group.Wait()
		<-m.served
		if n := m.answers.Load(); n != 8 {
			t.Errorf("%d answers", n)
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/handover"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/systemd"
)

// self is how this process was started, for another one to be started so.
type self struct {
	program   string
	args, env []string
}

// thisProcess is called at the start: later, variables are removed, and the program's file is another.
func thisProcess() self {
	s := self{args: os.Args}
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); !slices.Contains(systemd.SocketVariables, name) {
			s.env = append(s.env, v)
		}
	}
	s.program, _ = os.Executable() // it is empty if that fails
	// What the command names may be a link, which leads to another file by the time of an upgrade.
	if named, err := exec.LookPath(os.Args[0]); err == nil {
		if path, err := filepath.Abs(named); err == nil && sameFile(path, s.program) {
			s.program = path
		}
	}
	return s
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	other, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(one, other)
}

// readyTimeout is how long the new process may take to be ready, besides its applications.
const readyTimeout = 30 * time.Second

// The reasons why there is no upgrade.
var (
	errUpgraded = errors.New("another process has taken over already")
	errYoung    = errors.New("the process before this one still finishes its requests; upgrade again when it has ended (timeouts.drain)")
)

// upgrade has another process take the place of this one: the program as it is now, with the same
// arguments. It returns the process's id when that serves. If it fails, this process goes on as before.
func (s *server) upgrade(ctx context.Context) (pid int, err error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	defer func() {
		if err != nil && !s.ending.Load() {
			s.log.Error("no other process has taken over; this one goes on", "error", err.Error(), "advice", "mend what the error names, and try again: nothing has changed")
		}
	}()
	switch {
	case s.successor != nil:
		return 0, errUpgraded
	case s.isEnding():
		return 0, errEnding
	case s.predecessor.holds():
		return 0, errYoung
	}
	ctx, cancel := s.untilEnd(ctx)
	defer cancel()
	s.log.Info("another process is started to take over", "program", s.self.program)
	limit, err := s.canUpgrade()
	if err != nil {
		return 0, err
	}
	next, err := s.startNext(ctx, limit)
	if err != nil {
		return 0, err
	}
	held := s.yield(true)
	time.Sleep(closeGrace)
	if err := next.Serve(held); err != nil {
		s.regain()
		return 0, err
	}
	s.ending.Store(true)
	s.successor = next
	s.sockets.handedOver()
	s.log.Info("another process has taken over; this one finishes its requests", "pid", next.PID())
	s.notifier.Main(next.PID())
	_ = next.Main() // it may be gone, which is like any other end of a process that serves
	close(s.succeeded)
	return next.PID(), nil
}

// canUpgrade returns how long the start of the applications may take, or what cannot be there twice.
func (s *server) canUpgrade() (time.Duration, error) {
	if s.self.program == "" {
		return 0, errors.New("this system does not say which program runs; use a restart")
	}
	if os.Getpid() == 1 {
		return 0, errors.New("this process is the first of its container, and all others end with it: there is no upgrade in place; start another container, or run sluice below an init that stays")
	}
	limit := readyTimeout
	for _, a := range s.front.current.Load().Applications {
		if a.Spawn == nil {
			continue
		}
		if hasFixedAddress(a.Spawn) {
			return 0, fmt.Errorf("the application %q cannot run twice, because spawn.listen is %s: there is no upgrade in place; restart sluice instead (systemctl restart sluice), or leave out spawn.listen", a.Name, a.Spawn.Listen)
		}
		limit = max(limit, readyTimeout+time.Duration(a.Spawn.StartTimeout))
	}
	return limit, nil
}

// hasFixedAddress reports whether a command is given an address that no second one can have.
func hasFixedAddress(s *config.Spawn) bool {
	return s.Listen != "" && !strings.HasSuffix(s.Listen, ":0")
}

// startNext starts the process, and returns it when it is ready.
func (s *server) startNext(ctx context.Context, limit time.Duration) (*handover.Successor, error) {
	sockets, err := s.sockets.offer()
	if err != nil {
		return nil, err
	}
	defer closeFiles(sockets)
	next, err := handover.Start(s.self.program, s.self.args, s.self.env, sockets)
	if err != nil {
		return nil, err
	}
	late := fmt.Errorf("the new process was not ready within %v", limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, late)
	defer cancel()
	return next, next.Ready(ctx)
}

// yield leaves workers to the next process, and returns what this one may still have.
func (s *server) yield(accepting bool) handover.Held {
	held := make(handover.Held)
	for _, a := range s.front.current.Load().applications() {
		a.Application.Application().Yield(held, accepting)
	}
	return held
}

func (s *server) regain() {
	for _, a := range s.front.current.Load().applications() {
		a.Application.Application().Regain()
	}
}

// closeGrace is how long an application may take to notice that a connection was closed: until then it
// counts.
const closeGrace = 200 * time.Millisecond

// yieldEvery is how often the next process is told what this one needs no more.
const yieldEvery = 20 * time.Millisecond

// yieldUntil goes on yielding until ctx ends. accepting reports whether requests may still come.
func (s *server) yieldUntil(ctx context.Context, accepting func() bool) {
	ticks := time.NewTicker(yieldEvery)
	defer ticks.Stop()
	var recent []handover.Held
	var told handover.Held
	for {
		recent = append(recent, s.yield(accepting()))
		if len(recent) > int(closeGrace/yieldEvery) {
			if !maps.Equal(recent[0], told) {
				told = recent[0]
				if s.successor.Tell(told) != nil {
					return // nobody wants to know any more
				}
			}
			recent = recent[1:]
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
}

// startYielding has the next process, if there is one, told what this one still has, until stop is
// called.
func (s *server) startYielding() (stop func()) {
	if s.successor == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var yielding sync.WaitGroup
	yielding.Go(func() { s.yieldUntil(ctx, func() bool { return !s.front.draining.Load() }) })
	return func() {
		cancel()
		yielding.Wait()
		s.yieldAll()
	}
}

// noticeTimeout is how long applications may take to notice that the last connections were closed.
const noticeTimeout = 1500 * time.Millisecond

// yieldAll closes the connections that are idle, and waits until the applications have noticed: when
// this process ends, the next one has all workers.
func (s *server) yieldAll() {
	ticks := time.NewTicker(yieldEvery)
	defer ticks.Stop()
	for began := time.Now(); time.Since(began) < noticeTimeout; <-ticks.C {
		left := 0
		for _, n := range s.yield(false) {
			left += n
		}
		if left == 0 {
			return
		}
	}
}

// finish tells the next process that this one has nothing any more.
func (s *server) finish() {
	if s.successor != nil {
		time.Sleep(closeGrace)
		s.successor.Done()
	}
}

package supervise

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/memlimit"
)

// reconfigure puts another configuration in force.
func (s *script) reconfigure(t *testing.T, change func(*Config)) error {
	t.Helper()
	cfg := s.sup.plan.Config
	change(&cfg)
	p := &plan{Config: cfg}
	if err := errors.Join(p.SpawnBudget.normalize(), p.normalize()); err != nil {
		t.Fatal(err)
	}
	var err error
	s.sup.call(func() {
		if err = p.checkInPlace(s.sup.plan); err == nil {
			s.sup.configure(p, false)
		}
	})
	return err
}

// Settings that are not about a process change without a restart.
func TestConfigureInPlace(t *testing.T) {
	superviseAs(t, Config{MaxRequests: 1000, SpawnBudget: Budget{Spawns: 3}}, time.Minute, healthy, func(s *script, _ string) {
		if err := s.reconfigure(t, func(c *Config) {
			c.MaxRequests, c.MaxLifetime, c.IdleShutdown, c.DrainTimeout, c.StallKill = 0, 24*time.Hour, time.Hour, time.Minute, time.Minute
			c.SpawnBudget = Budget{Spawns: 5, Per: time.Hour}
			c.Memory, c.Quarantine, c.MaxTime = Memory{Soft: 100 * mib}, time.Minute, time.Hour
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if got := s.frontCalls(); got != "add app-0" || s.starts() != 1 {
			t.Errorf("the calls of Front are %s, %d starts", got, s.starts())
		}
		if shot := s.snapshot(); shot.Budget.Spawns != 5 || shot.Budget.Per != 3600 || shot.Memory.Soft != 100*mib {
			t.Errorf("the snapshot is %+v", shot)
		}
		time.Sleep(time.Hour)
		s.wantStates(t, "asleep")
	})
}

// What is asleep, or goes to sleep, runs again when processes are not to be stopped any more.
func TestConfigureEndsSleep(t *testing.T) {
	for name, tc := range map[string]struct {
		after  time.Duration
		was    string
		starts int
	}{"asleep": {time.Minute, "asleep", 2}, "ending": {17 * time.Second, "ending", 2}, "draining": {12 * time.Second, "draining", 1}} {
		t.Run(name, func(t *testing.T) {
			slow := func(n int) behaviour {
				l := healthy(n)
				l.ends = 5 * time.Second
				return l
			}
			superviseAs(t, Config{IdleShutdown: 10 * time.Second}, time.Second, slow, func(s *script, _ string) {
				s.keepBusy("app-0", 5*time.Second)
				time.Sleep(tc.after - time.Second)
				s.wantStates(t, tc.was)
				if err := s.reconfigure(t, func(c *Config) { c.IdleShutdown = 0 }); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				s.wantStates(t, "serving")
				s.wantStarts(t, tc.starts)
			})
		})
	}
}

// Requests that came before processes were to be stopped count as requests.
func TestConfigureIdleShutdown(t *testing.T) {
	superviseAs(t, Config{}, time.Hour, healthy, func(s *script, _ string) {
		s.group.Wanted()
		if err := s.reconfigure(t, func(c *Config) { c.IdleShutdown = 10 * time.Minute }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Minute)
		s.wantStates(t, "serving")
		time.Sleep(2 * time.Minute)
		s.wantStates(t, "asleep")
	})
}

// A child that is being waited for is ready as soon as it is by the new settings.
func TestConfigureReady(t *testing.T) {
	never := func(context.Context, string) error { return errors.New("no such page") }
	superviseAs(t, Config{Ready: never}, 10*time.Second, inTurn(behaviour{ready: time.Second}), func(s *script, _ string) {
		s.wantStates(t, "starting")
		if err := s.reconfigure(t, func(c *Config) { c.Ready = func(context.Context, string) error { return nil } }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		s.wantStates(t, "ready")
		s.wantCalls(t, "add app-0")
	})
}

// A budget that is lowered below what was spent of it is spent with the next exit.
func TestConfigureBudget(t *testing.T) {
	superviseOne(t, Budget{Spawns: 20, Per: time.Hour}, 3*time.Minute, inTurn(behaviour{lives: time.Millisecond}), func(s *script, _ string) {
		if left := s.snapshot().Budget.Left; left > 15 {
			t.Fatalf("%d are left", left)
		}
		if err := s.reconfigure(t, func(c *Config) { c.SpawnBudget.Spawns = 3 }); err != nil {
			t.Fatal(err)
		}
		if left := s.snapshot().Budget.Left; left != 0 {
			t.Errorf("%d are left", left)
		}
		time.Sleep(2 * time.Minute)
		s.wantStates(t, "broken")
	})
}

// A lifetime holds for children that run.
func TestConfigureLifetime(t *testing.T) {
	superviseAs(t, Config{}, time.Hour, healthy, func(s *script, _ string) {
		s.allow(2)
		if err := s.reconfigure(t, func(c *Config) { c.MaxLifetime = 30 * time.Minute }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		s.wantStarts(t, 2)
	})
}

// Instances are started and stopped until their number is right.
func TestConfigureInstances(t *testing.T) {
	superviseAs(t, Config{}, time.Minute, healthy, func(s *script, _ string) {
		s.allow(3)
		if err := s.reconfigure(t, func(c *Config) { c.Instances, c.MaxInstances = 3, 3 }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		s.wantCalls(t, "add app-0, add app-1, add app-2")
		if err := s.reconfigure(t, func(c *Config) { c.Instances, c.MaxInstances = 1, 1 }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		s.wantCalls(t, "add app-0, add app-1, add app-2, drain app-2, remove app-2, drain app-1, remove app-1")
	})
}

// Another command replaces the one that runs. If it fails, the old one goes on, and it is tried
// again.
func TestConfigureProgram(t *testing.T) {
	bad := true
	superviseAs(t, Config{}, time.Minute, func(n int) behaviour {
		if n > 0 && bad {
			return behaviour{fails: true}
		}
		return healthy(n)
	}, func(s *script, _ string) {
		s.allow(2)
		if err := s.reconfigure(t, func(c *Config) { c.Command = []string{"other"} }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := s.frontCalls(); got != "add app-0" || s.states() != "serving" || !strings.Contains(s.logged(), "the old one goes on") {
			t.Errorf("the calls of Front are %s, %s", got, s.states())
		}
		s.mu.Lock()
		bad = false
		s.mu.Unlock()
		time.Sleep(time.Minute)
		s.wantCalls(t, "add app-0, add app-1, drain app-0, remove app-0")
	})
}

// The error names what cannot be changed in place, and nothing is changed.
func TestConfigureOtherKind(t *testing.T) {
	superviseAs(t, Config{}, time.Second, healthy, func(s *script, _ string) {
		err := s.reconfigure(t, func(c *Config) { c.Listen, c.MaxRequests = "127.0.0.1:0", 7 })
		if !errors.Is(err, ErrOtherKind) || !strings.HasPrefix(err.Error(), "the listening address cannot") || s.sup.maxRequests.Load() != 0 {
			t.Errorf("%v", err)
		}
	})
}

// fakeController records the limits that are set.
type fakeController struct {
	memlimit.Controller
	limits []Memory
	err    error
	hangs  time.Duration
}

func (n *fakeController) SetLimits(m memlimit.Limits) (bool, error) {
	time.Sleep(n.hangs)
	n.limits = append(n.limits, Memory(m))
	return false, n.err
}

// A Change that is prepared is not in force, and leaves nothing behind when it is canceled. Only
// memory limits are set at once, because the kernel may refuse them.
func TestPrepare(t *testing.T) {
	dir := t.TempDir()
	was, next, other := Memory{Total: 400 * mib}, Memory{Total: 500 * mib}, Memory{Total: 600 * mib}
	for name, tc := range map[string]struct {
		do    func(a, b *Change)
		want  []Memory
		holds Memory
	}{
		"commit":           {func(a, _ *Change) { a.Commit() }, []Memory{next}, next},
		"cancel":           {func(a, _ *Change) { a.Cancel() }, []Memory{next, was}, was},
		"commit, commit":   {func(a, b *Change) { a.Commit(); b.Commit() }, []Memory{next, other, next, other}, other},
		"commit, reversed": {func(a, b *Change) { b.Commit(); a.Commit() }, []Memory{next, other, next}, next},
		"cancel, commit":   {func(a, b *Change) { a.Cancel(); b.Commit() }, []Memory{next, other, was, other}, other},
		"commit, cancel":   {func(a, b *Change) { b.Commit(); a.Cancel() }, []Memory{next, other}, other},
	} {
		t.Run(name, func(t *testing.T) {
			superviseAs(t, Config{TempDir: dir, Memory: was}, time.Minute, healthy, func(s *script, _ string) {
				s.allow(2)
				meters := &fakeController{}
				g := &Group{supervisor: s.sup, memory: meters, limits: was, log: s.sup.log}
				prepare := func(m Memory) *Change {
					c, err := g.Prepare(Config{Command: []string{"/bin/sh"}, TempDir: dir, Memory: m})
					if err != nil {
						t.Fatal(err)
					}
					return c
				}
				a, b := prepare(next), (*Change)(nil)
				if len(tc.want) > 2 || strings.Contains(name, ", ") {
					b = prepare(other)
				}
				time.Sleep(time.Minute)
				if s.starts() != 1 || g.supervisor.current().Memory != was {
					t.Errorf("%d starts; %+v holds", s.starts(), g.supervisor.current().Memory)
				}
				tc.do(a, b)
				if got := g.supervisor.current().Memory; got != tc.holds || !slices.Equal(meters.limits, tc.want) {
					t.Errorf("%v holds, limits were %v, want %v", got, meters.limits, tc.want)
				}
			})
		})
	}
}

// Limits that the kernel refuses, or does not set in time, change nothing.
func TestPrepareFails(t *testing.T) {
	dir := t.TempDir()
	for _, meters := range []*fakeController{{err: errors.New("busy")}, {hangs: time.Minute}} {
		superviseAs(t, Config{TempDir: dir}, time.Minute, healthy, func(s *script, _ string) {
			g := &Group{supervisor: s.sup, memory: meters, log: s.sup.log}
			begun := time.Now()
			_, err := g.Prepare(Config{Command: []string{"/bin/sh"}, TempDir: dir, Memory: Memory{Total: 500 * mib}})
			if err == nil || !strings.HasPrefix(err.Error(), "memory limits: ") || time.Since(begun) > limitTimeout {
				t.Errorf("%v after %v", err, time.Since(begun))
			}
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if n := len(meters.limits); meters.hangs > 0 && (n != 2 || meters.limits[1] != Memory{}) {
				t.Errorf("limits were %v", meters.limits)
			}
			s.wantStarts(t, 1)
		})
	}
}

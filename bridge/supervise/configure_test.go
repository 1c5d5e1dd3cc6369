package supervise

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// reconfigure has another configuration hold.
func (s *script) reconfigure(t *testing.T, change func(*Config)) error {
	t.Helper()
	cfg := s.k.plan.Config
	change(&cfg)
	p := &plan{Config: cfg}
	if err := errors.Join(p.SpawnBudget.normalize(), p.normalize()); err != nil {
		t.Fatal(err)
	}
	var err error
	s.k.ask(func() {
		old := s.k.plan
		if err = p.otherKind(old); err == nil {
			s.k.configure(p, !p.runsAs(old))
		}
	})
	return err
}

// Knobs are turned without a child noticing.
func TestConfigureInPlace(t *testing.T) {
	keepAs(t, Config{MaxRequests: 1000, SpawnBudget: Budget{Spawns: 3}}, time.Minute, good, func(s *script, _ string) {
		if err := s.reconfigure(t, func(c *Config) {
			c.MaxRequests, c.MaxLifetime, c.IdleShutdown, c.DrainTimeout, c.StallKill = 0, 24*time.Hour, time.Hour, time.Minute, time.Minute
			c.SpawnBudget = Budget{Spawns: 5, Per: time.Hour}
			c.Memory, c.Quarantine, c.MaxTime = Memory{Soft: 100 * mib}, time.Minute, time.Hour
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if got := s.told(); got != "add app-0" || s.starts() != 1 {
			t.Errorf("told %s, %d starts", got, s.starts())
		}
		if shot := s.shot(); shot.Budget.Spawns != 5 || shot.Budget.Per != 3600 || shot.Memory.Soft != 100*mib {
			t.Errorf("the snapshot is %+v", shot)
		}
		time.Sleep(time.Hour)
		if got := s.states(); got != "asleep" {
			t.Error(got)
		}
	})
}

// A lifetime holds for those that live.
func TestConfigureLifetime(t *testing.T) {
	keepAs(t, Config{}, time.Hour, good, func(s *script, _ string) {
		s.allow(2)
		if err := s.reconfigure(t, func(c *Config) { c.MaxLifetime = 30 * time.Minute }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := s.starts(); got != 2 {
			t.Errorf("%d starts", got)
		}
	})
}

// Instances are started and ended until there are as many as there should be.
func TestConfigureInstances(t *testing.T) {
	keepAs(t, Config{}, time.Minute, good, func(s *script, _ string) {
		s.allow(3)
		if err := s.reconfigure(t, func(c *Config) { c.Instances, c.MaxInstances = 3, 3 }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if got, want := s.told(), "add app-0, add app-1, add app-2"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
		if err := s.reconfigure(t, func(c *Config) { c.Instances, c.MaxInstances = 1, 1 }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if got, want := s.told(), "add app-0, add app-1, add app-2, drain app-2, remove app-2, drain app-1, remove app-1"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
	})
}

// Another program replaces the one that runs; if it is no good, that goes on, and it is
// tried again.
func TestConfigureProgram(t *testing.T) {
	bad := true
	keepAs(t, Config{}, time.Minute, func(n int) life {
		if n > 0 && bad {
			return life{fails: true}
		}
		return good(n)
	}, func(s *script, _ string) {
		s.allow(2)
		if err := s.reconfigure(t, func(c *Config) { c.Command = []string{"other"} }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := s.told(); got != "add app-0" || s.states() != "serving" || !strings.Contains(s.logged(), "the old one goes on") {
			t.Errorf("told %s, %s", got, s.states())
		}
		s.mu.Lock()
		bad = false
		s.mu.Unlock()
		time.Sleep(time.Minute)
		if got, want := s.told(), "add app-0, add app-1, drain app-0, remove app-0"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
	})
}

// What cannot be changed is named, and nothing else is changed.
func TestConfigureOtherKind(t *testing.T) {
	keepAs(t, Config{}, time.Second, good, func(s *script, _ string) {
		err := s.reconfigure(t, func(c *Config) { c.Listen, c.MaxRequests = "127.0.0.1:0", 7 })
		if !errors.Is(err, ErrOtherKind) || !strings.HasPrefix(err.Error(), "the listening address cannot") || s.k.most.Load() != 0 {
			t.Errorf("%v", err)
		}
	})
}

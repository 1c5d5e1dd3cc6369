package registry

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// What a configuration changes is changed when it starts, and stays so when the one before
// has ended.
func TestReloadChangesInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		one := running(t, r)
		old := take(t, one, at(4, "unix:/nowhere/a"))
		two := r.NewConfiguration(nil)
		fresh := take(t, two, at(8, "unix//nowhere/a"))
		if fresh.app != old.app {
			t.Fatal("another application")
		}
		fresh.wantWorkers(t, 4)
		if err := two.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		fresh.wantWorkers(t, 4) // another app may fail to start
		one.Stop()
		fresh.wantWorkers(t, 8)
		giveBack(t, old)
		fresh.wantWorkers(t, 8)
		two.Stop()
		giveBack(t, fresh)
		if n := len(r.applications()); n != 0 {
			t.Errorf("%d applications are left", n)
		}
	})
}

// A configuration that fails leaves the settings of the one before, whether it was started
// or not.
func TestFailedReloadChangesNothing(t *testing.T) {
	for name, fail := range map[string]func(two *Configuration, s *Site){
		"provision": func(_ *Configuration, s *Site) { s.Release() },
		"start":     func(two *Configuration, s *Site) { _ = two.Start(context.Background()); two.Stop(); s.Release() },
		"after it":  func(two *Configuration, s *Site) { _ = two.Start(context.Background()); s.Release() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRegistry(t)
				old := take(t, running(t, r), at(4, "unix:/nowhere/a", "unix:/nowhere/b"))
				two := r.NewConfiguration(nil)
				fresh := take(t, two, at(8, "unix:/nowhere/b", "unix:/nowhere/c"))
				if fresh.app != old.app {
					t.Error("another application")
				}
				fail(two, fresh)
				synctest.Wait()
				old.wantWorkers(t, 8)
				var names []string
				for _, in := range old.app.bridged.Snapshot().Pool.Instances {
					names = append(names, in.Addr)
				}
				if got := strings.Join(names, " "); strings.Contains(got, "c") || !strings.Contains(got, "/a") || old.app.bridged.Snapshot().Pool.Instances[0].Workers != 4 {
					t.Errorf("instances %s", got)
				}
				giveBack(t, old)
				giveBack(t)
			})
		})
	}
}

// What cannot be changed when a configuration starts is its error, and undone elsewhere.
func TestStartFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		one := running(t, r)
		a, b := take(t, one, at(4, "unix:/nowhere/a")), take(t, one, at(4, "unix:/nowhere/b"))
		two := r.NewConfiguration(nil)
		bad := at(8, "unix:/nowhere/b")
		a2, b2 := take(t, two, at(8, "unix:/nowhere/a")), take(t, two, bad)
		b2.claim.cfg.Spool.Dir = "/does/not/exist" // it was there a moment ago
		if err := two.Start(context.Background()); err == nil || !strings.HasPrefix(err.Error(), "unix:/nowhere/b: ") {
			t.Errorf("%v", err)
		}
		a.wantWorkers(t, 4)
		b.wantWorkers(t, 4)
		giveBack(t, a, b, a2, b2)
	})
}

// An application with the same name goes on as the one before, whatever else has changed of it. One
// with the same backends goes before that, and a name counts only in the configuration in force.
func TestReloadByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		called := func(by *Configuration, name string, cfg config.Config) *Site {
			s, err := by.Acquire(cfg, noHooks, &User{Name: "site", Called: name, Log: handler.Log})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		one := r.NewConfiguration(nil)
		wiki, blog := called(one, "wiki", at(4, "unix:/nowhere/a")), called(one, "blog", at(4, "unix:/nowhere/b"))
		if err := one.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		failed := r.NewConfiguration(nil)
		unused := called(failed, "shop", at(4, "unix:/nowhere/a"))
		giveBack(t, unused)

		two := r.NewConfiguration(nil)
		for _, c := range []struct {
			name, backend string
			want          *Application // nil: a new one
		}{
			{"shop", "unix:/nowhere/c", nil},
			{"wiki", "unix:/nowhere/d", wiki.app},
			{"other", "unix:/nowhere/b", blog.app},
			{"blog", "unix:/nowhere/e", nil},
		} {
			s := called(two, c.name, at(8, c.backend))
			if isNew := s.app != wiki.app && s.app != blog.app; s.app != c.want && !(c.want == nil && isNew) {
				t.Errorf("%s at %s is %s", c.name, c.backend, s.app.name)
			}
			defer giveBack(t, s)
		}
		if err := two.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		one.Stop()
		giveBack(t, wiki, blog)
		if got := wiki.app.Settings().Addresses(); len(got) != 1 || got[0] != "unix:/nowhere/d" {
			t.Errorf("the wiki is at %q", got)
		}
		two.Stop()
	})
}

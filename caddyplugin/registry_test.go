package caddyplugin

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// take is acquire where it must not fail.
func take(t *testing.T, by *App, cfg config.Config) *lease {
	t.Helper()
	l, err := acquire(cfg, outletOf(by))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// giveBack releases leases and waits for the end of what they were of.
func giveBack(t *testing.T, leases ...*lease) {
	t.Helper()
	for _, l := range leases {
		if err := l.release(); err != nil {
			t.Error(err)
		}
	}
	time.Sleep(lingering)
	synctest.Wait()
}

func at(workers int, backends ...string) config.Config {
	return config.Config{Application: config.Application{Backends: backends, Workers: workers}}
}

func (l *lease) wantWorkers(t *testing.T, n int) {
	t.Helper()
	if got := l.app.backend.Snapshot().Gate.Workers; got != n {
		t.Errorf("%d workers, want %d", got, n)
	}
}

// What a configuration changes is changed when it starts, and stays so when the one before
// has ended.
func TestReloadChangesInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := generation(t, true)
		old := take(t, one, at(4, "unix:/nowhere/a"))
		two := generation(t, false)
		fresh := take(t, two, at(8, "unix//nowhere/a"))
		if fresh.app != old.app {
			t.Fatal("another application")
		}
		fresh.wantWorkers(t, 4)
		if err := two.Start(); err != nil {
			t.Fatal(err)
		}
		fresh.wantWorkers(t, 4) // another app may fail to start
		_ = one.Stop()
		fresh.wantWorkers(t, 8)
		giveBack(t, old)
		fresh.wantWorkers(t, 8)
		_ = two.Stop()
		giveBack(t, fresh)
		if n := len(applications.all()); n != 0 {
			t.Errorf("%d applications are left", n)
		}
	})
}

// A configuration that fails leaves the settings of the one before, whether it was started
// or not.
func TestFailedReloadChangesNothing(t *testing.T) {
	for name, fail := range map[string]func(two *App, l *lease){
		"provision": func(_ *App, l *lease) { _ = l.release() },
		"start":     func(two *App, l *lease) { _ = two.Start(); _ = two.Stop(); _ = l.release() },
		"after it":  func(two *App, l *lease) { _ = two.Start(); _ = l.release() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				old := take(t, generation(t, true), at(4, "unix:/nowhere/a", "unix:/nowhere/b"))
				two := generation(t, false)
				fresh := take(t, two, at(8, "unix:/nowhere/b", "unix:/nowhere/c"))
				if fresh.app != old.app {
					t.Error("another application")
				}
				fail(two, fresh)
				synctest.Wait()
				old.wantWorkers(t, 8)
				var names []string
				for _, in := range old.app.backend.Snapshot().Pool.Instances {
					names = append(names, in.Addr)
				}
				if got := strings.Join(names, " "); strings.Contains(got, "c") || !strings.Contains(got, "/a") || old.app.backend.Snapshot().Pool.Instances[0].Workers != 4 {
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
		one := generation(t, true)
		a, b := take(t, one, at(4, "unix:/nowhere/a")), take(t, one, at(4, "unix:/nowhere/b"))
		two := generation(t, false)
		bad := at(8, "unix:/nowhere/b")
		a2, b2 := take(t, two, at(8, "unix:/nowhere/a")), take(t, two, bad)
		b2.claim.cfg.Spool.Dir = "/does/not/exist" // it was there a moment ago
		if err := two.Start(); err == nil || !strings.HasPrefix(err.Error(), "unix:/nowhere/b: ") {
			t.Errorf("%v", err)
		}
		a.wantWorkers(t, 4)
		b.wantWorkers(t, 4)
		giveBack(t, a, b, a2, b2)
	})
}

// Two modules of one configuration must want the same of a backend; sites may differ.
func TestModulesMustAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		by := generation(t, false)
		root := t.TempDir()
		first := at(4, "unix:/nowhere/a")
		first.Mount = "/one"
		one := take(t, by, first)
		second := at(4, "unix//nowhere/a")
		second.Root, second.LongPoll = root, []string{"/poll"}
		two := take(t, by, second)
		if one.app != two.app || one.site == two.site || len(one.app.sites()) != 2 {
			t.Errorf("one application: %v, sites %v", one.app == two.app, one.app.sites())
		}
		second.Workers = 8
		_, err := acquire(second, outletOf(by))
		want := "workers: is 4 and 8: handler at /one and handler of " + root + " share the application unix:/nowhere/a, which has one gate for both: give both the same value"
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		second.Workers, second.Lanes = 4, bridge.Off
		if _, err := acquire(second, outletOf(by)); err == nil {
			t.Error("lanes on and off")
		}
		giveBack(t, one, two)
	})
}

// A backend of another kind is another application, and so is what has nothing in common.
func TestReloadToAnotherKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := take(t, generation(t, true), at(4, "unix:/nowhere/a"))
		two := generation(t, true)
		plain := at(4, "unix:/nowhere/a")
		plain.Lanes = bridge.Off
		other, kind := take(t, two, at(4, "unix:/nowhere/b")), take(t, two, plain)
		if other.app == old.app || kind.app == old.app || other.app == kind.app {
			t.Error("shared")
		}
		if kind.app.name != "unix:/nowhere/a (2)" {
			t.Errorf("called %s, as the other one is", kind.app.name)
		}
		giveBack(t, old, other, kind)
	})
}

// Of several that may become what is wanted, it is the one that has most of it.
func TestReloadFindsTheNearest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := generation(t, true)
		ab, c := take(t, one, at(4, "a:1", "b:1")), take(t, one, at(4, "c:1"))
		two := generation(t, false)
		merged := take(t, two, at(4, "a:1", "b:1", "c:1"))
		alone := take(t, two, at(4, "c:1"))
		if merged.app != ab.app || alone.app != c.app {
			t.Error("not the nearest")
		}
		giveBack(t, ab, c, merged, alone)
	})
}

// Sets of one configuration that have some in common are two applications.
func TestSetsThatOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		by := generation(t, true)
		ab, b := take(t, by, at(4, "a:1", "b:1")), take(t, by, at(4, "b:1"))
		if ab.app == b.app || len(ab.app.now.Load().Backends) != 2 {
			t.Error("one")
		}
		giveBack(t, ab, b)
	})
}

// A site that cannot be made gives back what it had.
func TestSiteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		by := generation(t, true)
		here := take(t, by, at(4, "unix:/nowhere/a"))
		for _, backend := range []string{"unix:/nowhere/a", "unix:/nowhere/b"} {
			bad := at(4, backend)
			bad.Follow = []string{"/does/not/exist"}
			bad.Root = "/does/not/exist"
			if _, err := acquire(bad, outletOf(by)); err == nil {
				t.Errorf("%s: no error", backend)
			}
		}
		synctest.Wait()
		if n := len(applications.all()); n != 1 || here.app.claims[0].users != 1 {
			t.Errorf("%d applications, %d users of this one", n, here.app.claims[0].users)
		}
		giveBack(t, here)
	})
}

// A transport keeps what the one before it had: untouched until a request goes there, and
// then with its own settings.
func TestUpstreamsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		get := func(u *upstreams) *lease {
			t.Helper()
			l, err := u.get("unix:/nowhere/a")
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		one := generation(t, true)
		old, err := newUpstreams(at(4), outletOf(one))
		if err != nil {
			t.Fatal(err)
		}
		app := get(old).app
		two := generation(t, false)
		same, err := newUpstreams(at(4), outletOf(two))
		if err != nil || len(same.leases) != 1 {
			t.Fatalf("%v, %d kept", err, len(same.leases))
		}
		other, err := newUpstreams(at(8), outletOf(two))
		if err != nil || len(other.leases) != 0 {
			t.Fatalf("%v, %d kept", err, len(other.leases))
		}
		if err := two.Start(); err != nil {
			t.Fatal(err)
		}
		_ = one.Stop()
		if err := old.release(); err != nil {
			t.Error(err)
		}
		l := get(other) // it is this one's, after all
		if l.app != app {
			t.Error("made anew")
		}
		l.wantWorkers(t, 8)
		if _, err := same.get("unix:/nowhere/a"); err == nil || !strings.Contains(err.Error(), "workers: is 8 and 4") {
			t.Errorf("two settings for one upstream: %v", err)
		}
		for _, u := range []*upstreams{same, other} {
			if err := u.release(); err != nil {
				t.Error(err)
			}
		}
		giveBack(t)
		if n := len(applications.all()); n != 0 {
			t.Errorf("%d applications are left", n)
		}
	})
}

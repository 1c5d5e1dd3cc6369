package registry

import (
	"testing"
	"testing/synctest"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// Two sites of one configuration must want the same of a backend; sites may differ.
func TestSitesMustAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		by := r.NewConfiguration(nil)
		root := t.TempDir()
		first := at(4, "unix:/nowhere/a")
		first.Mount = "/one"
		one := take(t, by, first)
		second := at(4, "unix//nowhere/a")
		second.Root, second.LongPoll = root, []string{"/poll"}
		two := take(t, by, second)
		if one.app != two.app || one.handler == two.handler || len(one.app.Sites()) != 2 {
			t.Errorf("one application: %v, sites %v", one.app == two.app, one.app.Sites())
		}
		second.Workers = 8
		_, err := by.Acquire(second, noHooks, handler)
		want := "workers: is 4 and 8: handler at /one and handler of " + root + " share the application unix:/nowhere/a, which has one gate for both: give both the same value"
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		second.Workers, second.Lanes = 4, config.Off
		if _, err := by.Acquire(second, noHooks, handler); err == nil {
			t.Error("lanes on and off")
		}
		want = "protocol: is fastcgi and scgi: handler at /one and handler share the application unix:/nowhere/a, which has one gate for both: give both the same value"
		if _, err := by.Acquire(at(4, "scgi+unix:/nowhere/a"), noHooks, handler); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		giveBack(t, one, two)
	})
}

// A backend of another kind is another application, and so is what has nothing in common.
func TestReloadToAnotherKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		old := take(t, running(t, r), at(4, "unix:/nowhere/a"))
		two := running(t, r)
		plain := at(4, "unix:/nowhere/a")
		plain.Lanes = config.Off
		other, kind := take(t, two, at(4, "unix:/nowhere/b")), take(t, two, plain)
		if other.app == old.app || kind.app == old.app || other.app == kind.app {
			t.Error("shared")
		}
		protocol := take(t, running(t, r), at(4, "uwsgi+unix:/nowhere/a"))
		if protocol.app == old.app || protocol.app == kind.app || protocol.app.name != "uwsgi+unix:/nowhere/a" {
			t.Errorf("another protocol: shared, or called %s", protocol.app.name)
		}
		protocol.Release()
		if kind.app.name != "unix:/nowhere/a (2)" {
			t.Errorf("called %s, as the other one is", kind.app.name)
		}
		giveBack(t, old, other, kind)
	})
}

// Of several that may become what is wanted, it is the one that has most of it.
func TestReloadFindsTheNearest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		one := running(t, r)
		ab, c := take(t, one, at(4, "a:1", "b:1")), take(t, one, at(4, "c:1"))
		two := r.NewConfiguration(nil)
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
		r := newRegistry(t)
		by := running(t, r)
		ab, b := take(t, by, at(4, "a:1", "b:1")), take(t, by, at(4, "b:1"))
		if ab.app == b.app || len(ab.app.settings.Load().Backends) != 2 {
			t.Error("one")
		}
		giveBack(t, ab, b)
	})
}

// A site that cannot be made gives back what it had.
func TestSiteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		by := running(t, r)
		here := take(t, by, at(4, "unix:/nowhere/a"))
		for _, backend := range []string{"unix:/nowhere/a", "unix:/nowhere/b"} {
			bad := at(4, backend)
			bad.Follow = []string{"/does/not/exist"}
			bad.Root = "/does/not/exist"
			if _, err := by.Acquire(bad, noHooks, handler); err == nil {
				t.Errorf("%s: no error", backend)
			}
		}
		synctest.Wait()
		if n := len(r.applications()); n != 1 || here.app.claims[0].sites != 1 {
			t.Errorf("%d applications, %d users of this one", n, here.app.claims[0].sites)
		}
		giveBack(t, here)
	})
}

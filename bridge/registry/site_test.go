package registry

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// What is not used any more serves requests that are late, and those that it has, before
// it closes.
func TestGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		by := running(t, r)
		s, err := by.Acquire(at(1, "unix:/nowhere/app.sock"), noHooks, handler)
		if err != nil {
			t.Fatal(err)
		}
		open := func() bool {
			code := ask(s)
			switch code {
			case 502: // nobody listens
				return true
			case 503: // it is closed
				return false
			}
			t.Fatalf("answered with %d", code)
			return false
		}
		s.Release()
		if len(r.Applications()) != 0 {
			t.Error("it is still in use")
		}
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if !open() {
			t.Error("closed before it has had its grace period")
		}
		first, second := occupy(s), occupy(s)
		time.Sleep(time.Minute)
		first()
		time.Sleep(time.Hour)
		if !open() {
			t.Error("closed with a request in it")
		}
		second()
		synctest.Wait()
		if open() {
			t.Error("not closed after its last request")
		}
	})
}

// It closes when it has had its grace period, if there is no request.
func TestApplicationCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		by := running(t, r)
		cfg := at(1, "unix:/nowhere/app.sock")
		one, err := by.Acquire(cfg, noHooks, handler)
		if err != nil {
			t.Fatal(err)
		}
		two, err := by.Acquire(cfg, noHooks, handler)
		if err != nil || one.app != two.app {
			t.Fatalf("%v, another application: %v", err, one.app != two.app)
		}
		one.Release()
		time.Sleep(2 * grace)
		if len(r.Applications()) != 1 {
			t.Error("given up while it is in use")
		}
		two.Release()
		time.Sleep(grace)
		synctest.Wait()
		if code := ask(one); code != 503 {
			t.Errorf("answered with %d, want it closed", code)
		}
	})
}

// Sites that keep a handler share it: it closes when the last of them is released, with what the last
// configuration wants of the application.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		c := running(t, r)
		one := take(t, c, at(4, "unix:/nowhere/a"))
		keep := func(former *Site, workers int) *Site {
			next := r.NewConfiguration(nil)
			s, err := next.Keep(former, at(workers, "unix:/nowhere/a"), handler)
			if err == nil {
				err = next.Start(t.Context())
			}
			if err != nil || s.Handler() != one.Handler() {
				t.Fatalf("%v, or another handler", err)
			}
			former.by.Stop()
			former.Release()
			t.Cleanup(next.Stop)
			return s
		}
		two := keep(one, 5)
		three := keep(two, 6)
		leave := occupy(three)
		time.Sleep(2 * grace)
		synctest.Wait()
		if three.wantWorkers(t, 6); len(three.app.sites) != 1 || len(three.app.inUseSites) != 1 || ask(three) != 502 {
			t.Errorf("%d handlers, %d sites, answered with %d", len(three.app.sites), len(three.app.inUseSites), ask(three))
		}
		other := r.NewConfiguration(nil)
		if s, err := other.Keep(three, at(6, "unix:/nowhere/b"), handler); !errors.Is(err, ErrCannotKeep) {
			t.Errorf("kept in front of another application: %v, %v", s, err)
		}
		giveBack(t, three)
		if code := ask(three); code != 502 {
			t.Errorf("closed with a request in it: %d", code)
		}
		leave()
		synctest.Wait()
		if code := ask(three); code != 503 || len(r.applications()) > 0 {
			t.Errorf("not closed after the last: %d", code)
		}
		if _, err := other.Keep(three, at(6, "unix:/nowhere/a"), handler); !errors.Is(err, ErrCannotKeep) {
			t.Errorf("kept although it is closed: %v", err)
		}
	})
}

// A server that ends need not wait for grace periods.
func TestEndGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		c := running(t, r)
		one, two := take(t, c, at(4, "unix:/nowhere/a")), take(t, c, at(4, "unix:/nowhere/a"))
		one.Release()
		r.EndGrace()
		synctest.Wait()
		if n := len(two.app.sites); n != 1 {
			t.Errorf("%d sites are left", n)
		}
		giveBack(t, two)
	})
}

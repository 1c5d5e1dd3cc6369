package registry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Close closes what is in its grace period and what is in use, and waits for no request.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		by := running(t, r)
		used, released := take(t, by, at(1, "unix:/nowhere/a")), take(t, by, at(1, "unix:/nowhere/b"))
		busy := take(t, by, at(1, "unix:/nowhere/c"))
		leave := occupy(busy)
		released.Release()
		busy.Release()
		began := time.Now()
		r.Close()
		synctest.Wait()
		if took := time.Since(began); took > 0 || ask(used) != 503 || ask(released) != 503 {
			t.Errorf("closed after %v; one in use is answered with %d, one that was released with %d", took, ask(used), ask(released))
		}
		if _, err := by.Acquire(at(1, "unix:/nowhere/a"), noHooks, handler); !errors.Is(err, ErrClosed) {
			t.Errorf("Acquire after Close: %v", err)
		}
		if err := r.NewConfiguration(nil).Start(context.Background()); !errors.Is(err, ErrClosed) {
			t.Errorf("Start after Close: %v", err)
		}
		used.Release()
		leave()
		synctest.Wait()
		if left := r.applications(); len(left) > 0 {
			t.Errorf("%d applications are left", len(left))
		}
	})
}

// When the process ends, a site that is released is closed at once, with the requests in it.
func TestReleaseWhenExiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exiting := false
		r := New(Options{Exiting: func() bool { return exiting }})
		defer r.Close()
		s := take(t, running(t, r), at(1, "unix:/nowhere/a"))
		leave := occupy(s)
		exiting = true
		s.Release()
		synctest.Wait()
		if code := ask(s); code != 503 || len(r.applications()) > 0 {
			t.Errorf("answered with %d, %d applications are left", code, len(r.applications()))
		}
		leave()
	})
}

// A second Release does nothing, though other sites have the same user.
func TestReleaseTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		by := running(t, r)
		one, two := take(t, by, at(1, "unix:/nowhere/a")), take(t, by, at(1, "unix:/nowhere/a"))
		one.Release()
		giveBack(t, one)
		if len(r.Applications()) != 1 || two.app.users.latest.Load() != handler || two.claim.sites != 1 || ask(two) != 502 {
			t.Error("another site was released, too")
		}
		giveBack(t, two)
		var none *Site
		none.Release()
	})
}

// An application is shown once in a configuration that has several sites of it, and hidden with
// the last of them.
func TestShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		failure, shown := error(nil), 0
		by := r.NewConfiguration(func(*Application) (func(), error) {
			if failure != nil {
				return nil, failure
			}
			shown++
			return func() { shown-- }, nil
		})
		want := func(n int) {
			t.Helper()
			if shown != n {
				t.Errorf("shown %d times, want %d", shown, n)
			}
		}
		one, two := take(t, by, at(1, "unix:/nowhere/a")), take(t, by, at(1, "unix:/nowhere/a"))
		want(1)
		one.Release()
		want(1)
		two.Release()
		want(0)
		again := take(t, by, at(1, "unix:/nowhere/a"))
		want(1)
		again.Release()
		want(0)
		failure = errors.New("there is one of that name")
		if _, err := by.Acquire(at(1, "unix:/nowhere/b"), noHooks, handler); !errors.Is(err, failure) || len(r.Applications()) > 0 {
			t.Errorf("%v, %d in use", err, len(r.Applications()))
		}
	})
}

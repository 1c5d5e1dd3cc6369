package registry

import (
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

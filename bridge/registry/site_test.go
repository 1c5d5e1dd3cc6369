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

// A site that another one replaces is closed like others, and what it leaves over ends with that one.
func TestReplaceBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		c := running(t, r)
		one, two, three := take(t, c, at(4, "unix:/nowhere/a")), take(t, c, at(4, "unix:/nowhere/a")), take(t, c, at(4, "unix:/nowhere/a"))
		one.ReplaceBy(two)
		two.ReplaceBy(three)
		two.Release() // in vain
		time.Sleep(grace)
		synctest.Wait()
		if n := len(three.app.sites); n != 1 {
			t.Errorf("%d sites are left", n)
		}
		over := func() bool {
			select {
			case <-one.upgrades.over:
				return true
			default:
				return false
			}
		}
		if three.upgrades != one.upgrades || over() {
			t.Error("the last one does not keep the upgraded connections of the first")
		}
		giveBack(t, three)
		if !over() {
			t.Error("the upgraded connections may go on")
		}
	})
}

// A server that ends need not wait for grace periods.
func TestEndGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		c := running(t, r)
		one, two := take(t, c, at(4, "unix:/nowhere/a")), take(t, c, at(4, "unix:/nowhere/a"))
		one.ReplaceBy(two)
		two.EndUpgraded()
		r.EndGrace()
		synctest.Wait()
		if n := len(two.app.sites); n != 1 {
			t.Errorf("%d sites are left", n)
		}
		giveBack(t, two)
	})
}

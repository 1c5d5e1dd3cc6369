package caddyplugin

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// An upstream that is in no configuration any more is given back, however often the others
// are loaded anew.
func TestRemovedUpstreamIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config.Config{Application: config.Application{Workers: 2}}
		old, err := newUpstreams(cfg, outletOf(generation(t, true)))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []string{"unix:/nowhere/a", "unix:/nowhere/b"} {
			if _, err := old.get(a); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 { // reloads in which b is gone
			next, err := newUpstreams(cfg, outletOf(generation(t, true)))
			if err != nil {
				t.Fatal(err)
			}
			if err := old.release(); err != nil {
				t.Fatal(err)
			}
			old = next
			for range 60 * 24 {
				if _, err := old.get("unix:/nowhere/a"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
			}
		}
		if n := len(live()); n != 1 {
			t.Errorf("%d applications after three days without a request for b", n)
		}
		if err := old.release(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
	})
}

// What is not in use has no metrics, and what comes in its place has its own.
func TestMetricsOfOneThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := outletOf(generation(t, true))
		one := take(t, out.generation, at(2, "unix:/nowhere/a"))
		giveBack(t, one)
		l, err := acquire(at(2, "unix:/nowhere/a"), out)
		if err != nil {
			t.Fatal(err)
		}
		first := l.app
		giveBack(t, l)
		families, err := out.registry.Gather()
		if err != nil || len(families) > 0 {
			t.Errorf("%d metric families of an application that is not in use, %v", len(families), err)
		}
		if l, err = acquire(at(7, "unix:/nowhere/a"), out); err != nil {
			t.Fatal(err)
		}
		if l.app == first {
			t.Fatal("it is the same")
		}
		if families, err = out.registry.Gather(); err != nil || len(families) == 0 {
			t.Errorf("%d metric families, %v", len(families), err)
		}
		giveBack(t, l)
	})
}

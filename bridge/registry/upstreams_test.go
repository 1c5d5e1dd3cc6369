package registry

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// Upstreams keep those of the ones before them: untouched until a request goes there, and
// then with its own settings.
func TestUpstreamsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		get := func(u *Upstreams) *Site {
			t.Helper()
			s, err := u.Get("unix:/nowhere/a")
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		one := running(t, r)
		old, err := one.NewUpstreams(at(4), noHooks, handler)
		if err != nil {
			t.Fatal(err)
		}
		app := get(old).app
		two := r.NewConfiguration(nil)
		same, err := two.NewUpstreams(at(4), noHooks, handler)
		if err != nil || len(same.sites) != 1 {
			t.Fatalf("%v, %d kept", err, len(same.sites))
		}
		other, err := two.NewUpstreams(at(8), noHooks, handler)
		if err != nil || len(other.sites) != 0 {
			t.Fatalf("%v, %d kept", err, len(other.sites))
		}
		if err := two.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		one.Stop()
		old.Release()
		s := get(other) // it is this one's, after all
		if s.app != app {
			t.Error("made anew")
		}
		s.wantWorkers(t, 8)
		if _, err := same.Get("unix:/nowhere/a"); err == nil || !strings.Contains(err.Error(), "workers: is 8 and 4") {
			t.Errorf("two settings for one upstream: %v", err)
		}
		for _, u := range []*Upstreams{same, other} {
			u.Release()
		}
		giveBack(t)
		if n := len(r.applications()); n != 0 {
			t.Errorf("%d applications are left", n)
		}
	})
}

// An upstream that nobody asks for is given back when another comes; one with requests
// stays.
func TestUpstreamsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		by := running(t, r)
		u, err := by.NewUpstreams(config.Config{}, noHooks, handler)
		if err != nil {
			t.Fatal(err)
		}
		busy, err := u.Get("unix:/nowhere/a")
		if err != nil {
			t.Fatal(err)
		}
		done := occupy(busy)
		if _, err := u.Get("unix:/nowhere/b"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(keepUnusedFor / 2)
		if _, err := u.Get("unix:/nowhere/c"); err != nil {
			t.Fatal(err)
		}
		if len(r.Applications()) != 3 {
			t.Errorf("%d in use, want 3", len(r.Applications()))
		}
		time.Sleep(keepUnusedFor/2 + 2*time.Second)
		if _, err := u.Get("unix:/nowhere/d"); err != nil {
			t.Fatal(err)
		}
		if u.sites["unix:/nowhere/b"] != nil || len(r.Applications()) != 3 {
			t.Errorf("%d in use, want a, c and d", len(r.Applications()))
		}
		if again, err := u.Get("unix:/nowhere/a"); err != nil || again != busy {
			t.Errorf("%v, another application: %v", err, again != busy)
		}
		done()
		u.Release()
		late, err := u.Get("unix:/nowhere/e")
		if err != nil || len(r.Applications()) != 0 {
			t.Errorf("a late request gets %v; %d in use", err, len(r.Applications()))
		}
		if code := ask(late); code != 502 {
			t.Errorf("a late request is answered with %d, want 502: nobody listens", code)
		}
		time.Sleep(grace)
		synctest.Wait()
	})
}

// An upstream that is in no configuration any more is given back, however often the others
// are loaded anew.
func TestRemovedUpstreamIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		cfg := config.Config{Application: config.Application{Workers: 2}}
		old, err := running(t, r).NewUpstreams(cfg, noHooks, handler)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []string{"unix:/nowhere/a", "unix:/nowhere/b"} {
			if _, err := old.Get(a); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 { // reloads in which b is gone
			next, err := running(t, r).NewUpstreams(cfg, noHooks, handler)
			if err != nil {
				t.Fatal(err)
			}
			old.Release()
			old = next
			for range 60 * 24 {
				if _, err := old.Get("unix:/nowhere/a"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
			}
		}
		if n := len(r.Applications()); n != 1 {
			t.Errorf("%d applications after three days without a request for b", n)
		}
		old.Release()
		time.Sleep(time.Minute)
		synctest.Wait()
	})
}

// The application of an upstream shares its workers with other gates from its first request on: until
// then it may use none.
func TestUpstreamsOfAFleet(t *testing.T) {
	r := New(Options{Grace: time.Millisecond})
	defer r.Close()
	cfg := at(4)
	cfg.Fleet.Engine = "redis://127.0.0.1:1" // nobody listens there
	u, err := running(t, r).NewUpstreams(cfg, noHooks, handler)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Release()
	s, err := u.Get("unix:/nowhere/a")
	if err != nil {
		t.Fatal(err)
	}
	if state := s.app.bridged.QuickSnapshot().Fleet; state == nil || state.Status == "" {
		t.Errorf("it is no member of the fleet: %+v", state)
	}
}

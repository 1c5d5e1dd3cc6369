package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/seeds"
)

// life is a server that loads one random configuration after the other. Some fail, in each of
// the ways in which they can.
type life struct {
	t    *testing.T
	r    *Registry
	rand *rand.Rand

	last  *version // ran before the one that runs, and has not given all back; nil: none
	runs  *version // nil: none
	loads *version // the one that is being loaded; nil: none
}

// version is a configuration, and what it has.
type version struct {
	*Configuration
	sites []*Site
}

func TestRandomReloads(t *testing.T) {
	for seed := range seeds.Of(t, 20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &life{t: t, r: newRegistry(t), rand: rand.New(rand.NewPCG(seed, 0))}
				for range 30 {
					l.load()
					if l.r.pending != nil {
						t.Error("a configuration that has failed is to follow the one that runs")
					}
					time.Sleep(time.Duration(l.rand.Int64N(int64(2 * grace))))
					synctest.Wait()
					l.check()
				}
				if last := l.runs; last != nil {
					l.runs = nil
					l.end(last)
				}
			})
		})
	}
}

// load loads a configuration, which may fail.
func (l *life) load() {
	l.loads = &version{Configuration: l.r.NewConfiguration(nil)}
	for range 1 + l.rand.IntN(4) {
		l.acquire(l.loads)
		if l.runs != nil && l.rand.IntN(4) == 0 {
			l.acquire(l.runs) // for a request to an upstream
		}
		l.check()
	}
	next := l.loads
	switch l.rand.IntN(6) {
	case 0: // something else could not be provisioned
		l.loads = nil
		l.giveBack(next)
		return
	case 1: // something of ours cannot be started
		for _, s := range next.sites {
			s.claim.cfg.Spool.Dir = "/does/not/exist"
		}
		if err := next.Start(context.Background()); err == nil {
			l.t.Error("started with a directory that is not there")
		}
		l.loads = nil
		l.giveBack(next)
		return
	}
	if err := next.Start(context.Background()); err != nil {
		l.t.Error(err)
	}
	l.check()
	if l.runs != nil {
		switch l.rand.IntN(6) {
		case 0: // something else could not be started
			l.loads = nil
			l.end(next)
			return
		case 1: // something failed after that
			l.loads = nil
			l.giveBack(next)
			return
		}
		l.runs.Stop()
	}
	l.last, l.runs, l.loads = l.runs, next, nil
	l.check()
	if l.last == nil {
		return
	}
	if l.rand.IntN(2) == 0 {
		l.acquire(next) // for a request to an upstream
		l.check()
	}
	if i := l.rand.IntN(len(next.sites)); l.rand.IntN(2) == 0 {
		gone := next.sites[i] // an upstream that is not used any more
		next.sites = slices.Delete(next.sites, i, i+1)
		gone.Release()
		l.check()
	}
	last := l.last
	l.last = nil
	l.giveBack(last)
}

// acquire has a configuration use something, unless that is at odds with what it has already.
func (l *life) acquire(v *version) {
	addrs := []string{"unix:/nowhere/a", "unix:/nowhere/b", "unix:/nowhere/c"}
	l.rand.Shuffle(len(addrs), reflect.Swapper(addrs))
	cfg := at(1+l.rand.IntN(3), addrs[:1+l.rand.IntN(len(addrs))]...)
	if l.rand.IntN(5) == 0 {
		cfg.Lanes = config.Off
	}
	s, err := l.site(v, cfg)
	atOdds := slices.ContainsFunc(v.sites, func(s *Site) bool {
		return s.cfg.Identity() == cfg.Identity() && bridge.Agree(s.cfg.Application, cfg.Application) != nil
	})
	if (err != nil) != atOdds {
		l.t.Errorf("%+v at odds with others: %t, got %v", cfg.Application, atOdds, err)
	}
	if err == nil {
		v.sites = append(v.sites, s)
	}
}

// site acquires a site of v, or keeps one of the configuration that runs if that can be.
func (l *life) site(v *version, cfg config.Config) (*Site, error) {
	if v != l.loads || l.runs == nil || len(l.runs.sites) == 0 || l.rand.IntN(2) == 0 {
		return v.Acquire(cfg, noHooks, handler)
	}
	former := l.runs.sites[l.rand.IntN(len(l.runs.sites))]
	s, err := v.Keep(former, cfg, handler)
	if errors.Is(err, ErrCannotKeep) {
		return v.Acquire(cfg, noHooks, handler)
	}
	if err == nil && (s.app != former.app || s.handler != former.handler) {
		l.t.Error("the site that was kept has another application or handler")
	}
	return s, err
}

// end stops a configuration, and has it give back what it has.
func (l *life) end(v *version) {
	v.Stop()
	l.check()
	l.giveBack(v)
}

func (l *life) giveBack(v *version) {
	l.rand.Shuffle(len(v.sites), reflect.Swapper(v.sites))
	for _, s := range v.sites {
		s.Release()
		l.check()
	}
}

// check checks what always holds.
func (l *life) check() {
	l.t.Helper()
	l.r.mu.Lock() // grace periods end
	defer l.r.mu.Unlock()
	names := make(map[string]bool)
	for _, app := range l.r.applications() {
		if len(app.sites) == 0 || names[app.name] {
			l.t.Errorf("%s has %d sites; its name is another's: %t", app.name, len(app.sites), names[app.name])
		}
		names[app.name] = true
	}
	for _, v := range []*version{l.last, l.runs, l.loads} {
		for _, s := range v.all() {
			if grace, open := s.app.sites[s.opened]; !open || grace != nil || !slices.Contains(l.r.Applications(), s.app) {
				l.t.Errorf("a site of %s is closed, or its application not in use", s.app.name)
			}
		}
	}
	wanted := make(map[*Application]*claim)
	for _, v := range []*version{l.last, l.runs} { // the later one is in force
		for _, s := range v.all() {
			wanted[s.app] = s.claim
		}
	}
	for app, c := range wanted {
		if now, n := app.Settings(), app.bridged.Snapshot().Gate.Workers; !reflect.DeepEqual(*now, c.cfg) || n != c.cfg.Workers*len(c.cfg.Backends) {
			l.t.Errorf("%s has %+v, and %d workers; the configuration that runs wants %+v", app.name, *now, n, c.cfg)
		}
	}
}

// all lists what v has, nothing if there is none.
func (v *version) all() []*Site {
	if v == nil {
		return nil
	}
	return v.sites
}

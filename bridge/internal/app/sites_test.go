package app

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// join has a site join that is at mount.
func (l *sites) at(mount string) *Site {
	s := &Site{Mount: mount, InFlight: func() int64 { return 0 }}
	l.join(s)
	return s
}

// A site that comes back has what was known of it, for a while; and what is in use is not
// forgotten.
func TestSitesAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSites()
		first, second := l.at("/one"), l.at("/two")
		if first.Label != "" || second.Label != "[/two:] " {
			t.Errorf("labels %q and %q", first.Label, second.Label)
		}
		l.leave(second)
		time.Sleep(MemoryKept)
		if again := l.at("/two"); again.Seeds != second.Seeds {
			t.Error("forgotten too early")
		} else {
			l.leave(again)
		}
		time.Sleep(MemoryKept + time.Second)
		if again := l.at("/two"); again.Seeds == second.Seeds || again.Label != "[/two:] " {
			t.Errorf("remembered for ever, as %q", again.Label)
		}
		if beside := l.at("/one"); beside.Seeds != first.Seeds {
			t.Error("forgotten while it is in use")
		}
	})
}

// The label that no site had is not given to another: what was learned is not another's.
func TestFirstLabelIsNotGivenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSites()
		l.leave(l.at(""))
		time.Sleep(2 * MemoryKept)
		if s := l.at("/other"); s.Label == "" {
			t.Error("it has no label")
		}
	})
}

// Releases with a root of their own, one after the other, do not add up.
func TestMemoriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSites()
		var last *Site
		for i := range 3 * MaxMemories {
			last = l.at(fmt.Sprintf("/%d", i))
			l.leave(last)
			time.Sleep(time.Second)
		}
		if n := len(l.known); n > MaxMemories+1 {
			t.Errorf("%d are remembered", n)
		}
		if again := l.at(last.Mount); again.Seeds != last.Seeds {
			t.Error("the last is forgotten")
		}
	})
}

// The site that came last is asked for, or one of those that are left.
func TestLastSite(t *testing.T) {
	l := newSites()
	if s := l.last(); s != nil {
		t.Errorf("%+v before there is one", s)
	}
	first, second, third := l.at("/one"), l.at("/two"), l.at("/three")
	want := func(mounts ...string) {
		t.Helper()
		if s := l.last(); s == nil || !slices.Contains(mounts, s.Mount) {
			t.Errorf("%+v, want %q", s, mounts)
		}
	}
	want("/three")
	l.leave(second)
	want("/three")
	l.leave(third)
	want("/one")
	third = l.at("/three")
	l.leave(first)
	want("/three")
	l.leave(third)
	if s := l.last(); s != nil {
		t.Errorf("%+v when all have left", s)
	}
}

package bridge

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/classify"
)

// seeds are those of a site's client keys.
func (o *office) seeds(b *Bridge) classify.Seeds { return o.back.sites.here[b].seeds }

// A site that comes back has what was known of it, for a while; and what is in use is not
// forgotten.
func TestSeatsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := openOffice(t, Config{})
		at := func(mount string) func(*Config) { return func(c *Config) { c.Mount = mount } }
		first, second := o.site(at("/one")), o.site(at("/two"))
		if o.label(first) != "" || o.label(second) != "[/two:] " {
			t.Errorf("labels %q and %q", o.label(first), o.label(second))
		}
		seeds := o.seeds(second)
		second.Close()
		time.Sleep(seatKept)
		if again := o.site(at("/two")); o.seeds(again) != seeds {
			t.Error("forgotten too early")
		} else {
			again.Close()
		}
		time.Sleep(seatKept + time.Second)
		if again := o.site(at("/two")); o.seeds(again) == seeds || o.label(again) != "[/two:] " {
			t.Errorf("remembered for ever, as %q", o.label(again))
		}
		if beside := o.site(at("/one")); o.seeds(beside) != o.seeds(first) {
			t.Error("forgotten while it is in use")
		}
	})
}

// The label that no site had is not given to another: what was learned is not another's.
func TestFirstSeatIsNotGivenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := openOffice(t, Config{})
		o.site(same).Close()
		time.Sleep(2 * seatKept)
		if b := o.site(func(c *Config) { c.Mount = "/other" }); o.label(b) == "" {
			t.Error("it has no label")
		}
	})
}

// Releases with a root of their own, one after the other, do not add up.
func TestSeatsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := openOffice(t, Config{})
		at := func(i int) func(*Config) { return func(c *Config) { c.Mount = fmt.Sprintf("/%d", i) } }
		for i := range 3 * mostSeats {
			o.site(at(i)).Close()
			time.Sleep(time.Second)
		}
		if n := len(o.back.sites.seats); n > mostSeats+1 {
			t.Errorf("%d seats", n)
		}
		last := o.back.sites.seats[seat{fmt.Sprintf("/%d", 3*mostSeats-1), ""}]
		if b := o.site(at(3*mostSeats - 1)); last == nil || o.seeds(b) != last.seeds {
			t.Error("the last is forgotten")
		}
	})
}

// The site that came last is asked for, or one of those that are left.
func TestLastSite(t *testing.T) {
	o := openOffice(t, Config{})
	at := func(mount string) *Bridge { return o.site(func(c *Config) { c.Mount = mount }) }
	if s := o.back.sites.last(); s != nil {
		t.Errorf("%+v before there is one", s)
	}
	first, second, third := at("/one"), at("/two"), at("/three")
	want := func(mounts ...string) {
		t.Helper()
		if s := o.back.sites.last(); s == nil || !slices.Contains(mounts, s.Mount) {
			t.Errorf("%+v, want %q", s, mounts)
		}
	}
	want("/three")
	second.Close()
	want("/three")
	third.Close()
	want("/one")
	third = at("/three")
	first.Close()
	want("/three")
	third.Close()
	if s := o.back.sites.last(); s != nil {
		t.Errorf("%+v when all have left", s)
	}
}

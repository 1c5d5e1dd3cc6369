package exchange

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// again begins another request, and reports whether the authorizer is asked about it.
func (b *bench) again(consents *Consents, question ...cgi.Var) (other *bench, asks bool) {
	b.t.Helper()
	other = newBench(b.t)
	other.question = question
	other.authorizer = &authorizer{bench: other, consents: consents}
	var site config.Site
	if err := site.Complete(); err != nil {
		b.t.Fatal(err)
	}
	other.x = New()
	s := &Site{Config: &site, App: other, Authorizer: other.authorizer, Open: func() error { return nil }}
	w := other.x.Begin(s, other, other)
	if asks = other.x.Asking(); !asks {
		other.want(w, Front)
	}
	return other, asks
}

// What an authorizer has said holds for as long as it says, for the same question alone.
func TestConsentHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cookie, uri := cgi.Var{Name: "HTTP_COOKIE", Value: "s=1"}, cgi.Var{Name: "REQUEST_URI", Value: "/page"}
		b := newBench(t)
		b.question = []cgi.Var{cookie, uri, {Name: "REMOTE_PORT", Value: "1"}}
		b.ask()
		b.output("Cache-Control: max-age=60\nVariable-REMOTE_USER: jane\nVariable-eppn: j\n\n")
		b.want(b.end(), Front)
		consents := b.authorizer.Consents()

		time.Sleep(59 * time.Second)
		other, asks := b.again(consents, uri, cookie, cgi.Var{Name: "REMOTE_PORT", Value: "2"})
		if asks || other.x.Who.User != "jane" || other.x.Out.User != "jane" || other.x.Who.Granted == nil {
			t.Errorf("the same question is asked: %t, %+v", asks, other.x.Who)
		}
		other.wantDecision(Granted)
		for _, question := range [][]cgi.Var{
			{uri},
			{uri, {Name: "HTTP_COOKIE", Value: "s=2"}},
			{cookie, {Name: "REQUEST_URI", Value: "/other"}},
			{cookie, uri, {Name: "HTTP_X", Value: ""}},
			{{Name: "HTTP_COOKIE", Value: "s=1REQUEST_URI/page"}},
		} {
			if _, asks := b.again(consents, question...); !asks {
				t.Errorf("%q passes for another's answer", question)
			}
		}
		time.Sleep(time.Second)
		if _, asks := b.again(consents, cookie, uri); !asks {
			t.Error("it holds for longer than was said")
		}
	})
}

// What lets nobody pass, and what does not say for how long it holds, is asked again.
func TestNotRemembered(t *testing.T) {
	for _, header := range []string{
		"Variable-REMOTE_USER: jane\n",
		"Status: 403\nCache-Control: max-age=60\n",
		"Status: 302\nLocation: /login\nCache-Control: max-age=60\n",
		"Cache-Control: max-age=60\nSet-Cookie: s=2\n",
		"Cache-Control: max-age=60\nVariable-LARGE: " + fmt.Sprintf("%05000d", 1) + "\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.ask()
			b.output(header + "\n")
			b.end()
			if _, asks := b.again(b.authorizer.Consents()); !asks {
				t.Errorf("%.80q is remembered", header)
			}
		})
	}
}

func TestHoldsFor(t *testing.T) {
	for _, c := range []struct {
		control, vary, age string
		want               time.Duration
	}{
		{"", "", "", 0},
		{"max-age=60", "", "", time.Minute},
		{"Max-Age=60, must-revalidate", "Cookie", "", time.Minute},
		{"public, max-age=60, s-maxage=10", "", "", 10 * time.Second},
		{"s-maxage=90, max-age=60", "", "", 90 * time.Second},
		{"max-age=60, max-age=30", "", "", 30 * time.Second},
		{"max-age=60", "", "20", 40 * time.Second},
		{"max-age=60", "", "60", 0},
		{"max-age=60", "", "x", 0},
		{"max-age=0", "", "", 0},
		{"max-age=-1", "", "", 0},
		{"max-age=\"60\"", "", "", 0},
		{"max-age", "", "", 0},
		{"max-age=60, max-age=x", "", "", 0},
		{"max-age=99999999999", "", "", 0},
		{"public", "", "", 0},
		{"no-store, max-age=60", "", "", 0},
		{"max-age=60, No-Cache", "", "", 0},
		{"max-age=60, private", "", "", 0},
		{"max-age=60, private=\"Remote-User\"", "", "", 0},
		{"max-age=60", "Cookie, *", "", 0},
	} {
		h := http.Header{}
		for name, value := range map[string]string{"Cache-Control": c.control, "Vary": c.vary, "Age": c.age} {
			if value != "" {
				h.Set(name, value)
			}
		}
		if got := holdsFor(h); got != c.want {
			t.Errorf("%v: %v, want %v", h, got, c.want)
		}
	}
}

// However many questions there are, what is remembered is bounded. What holds no longer goes first.
func TestConsentsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Consents
		number := func(i int) (q question) { return question{byte(i), byte(i >> 8), byte(i >> 16)} }
		c.add(number(0), consent{until: time.Now().Add(time.Hour)})
		for i := range maxConsents - 1 {
			c.add(number(1+i), consent{until: time.Now().Add(time.Second)})
		}
		time.Sleep(time.Second)
		c.add(number(maxConsents), consent{until: time.Now().Add(time.Hour)})
		for _, i := range []int{0, maxConsents} {
			if _, ok := c.find(number(i)); !ok || len(c.said) != 2 {
				t.Errorf("%d: %t, of %d", i, ok, len(c.said))
			}
		}
		for i := range 2 * maxConsents {
			c.add(number(i), consent{until: time.Now().Add(time.Hour)})
		}
		if n := len(c.said); n != maxConsents {
			t.Errorf("%d are remembered", n)
		}
	})
}

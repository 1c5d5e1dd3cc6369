package classify

import (
	"hash/maphash"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/siphash"
)

// all returns a Config that uses every part of a request.
func all() Config {
	return Config{Seeds: NewSeeds(maphash.MakeSeed()), Clients: true, Routes: true, Lanes: true}
}

// What is asked for, depending on the parts of the request that are used.
func TestRequest(t *testing.T) {
	header := []string{"Accept", acceptOfPage, "Prefer", "wait=30"}
	full := admission.Request{
		Method: "POST", Route: "[/trac:] POST html /trac/wiki/*?a", Group: "[/trac:] POST html /trac/wiki", Path: "/trac/wiki/*", Long: true,
	}
	plain := full
	plain.Long = false
	for name, c := range map[string]struct {
		routes, lanes bool
		want          admission.Request
	}{
		"everything":           {true, true, full},
		"without lanes":        {true, false, plain},
		"nothing":              {false, false, admission.Request{Method: "POST"}},
		"lanes without routes": {false, true, admission.Request{Method: "POST"}},
	} {
		cfg := all()
		cfg.Label, cfg.Mount, cfg.Routes, cfg.Lanes = "[/trac:] ", "/trac", c.routes, c.lanes
		var ask admission.Request
		New(cfg).Request(&ask, requestFor(t, "POST", "/trac/wiki/4711?a=1", header...), nil)
		if ask != c.want {
			t.Errorf("%s: %+v, want %+v", name, ask, c.want)
		}
	}
}

// The next target of a request, after a local redirect, replaces the last one, but not who asks.
func TestRequestAgain(t *testing.T) {
	cfg := all()
	cfg.LongPoll = []string{"/poll"}
	c := New(cfg)
	ask := admission.Request{ClientKey: 1, Shared: true, Address: 2}
	scratch := c.Request(&ask, requestFor(t, "POST", "/poll"), nil)
	first := ask
	c.Request(&ask, requestFor(t, "GET", "/wiki/Start"), scratch)
	if want := (admission.Request{Method: "POST", Route: "POST any /poll", Group: "POST any /", Path: "/poll", Long: true, ClientKey: 1, Shared: true, Address: 2}); first != want {
		t.Errorf("%+v, want %+v", first, want)
	}
	if want := (admission.Request{Method: "GET", Route: "GET any /wiki/Start", Group: "GET any /wiki", Path: "/wiki/Start", ClientKey: 1, Shared: true, Address: 2}); ask != want {
		t.Errorf("%+v, want %+v", ask, want)
	}
}

// Who asks, and from which address.
func TestClient(t *testing.T) {
	for name, c := range map[string]struct {
		key            string
		cookie, addr   string
		shared         bool
		keyIsAddress   bool
		unknownAddress bool
	}{
		"an account":                  {"cookie id", "id=1", home, false, false, false},
		"an account behind a socket":  {"cookie id", "id=1", "unix:", false, false, true},
		"an address for want of more": {"cookie id", "", home, true, true, false},
		"an address":                  {"client", "id=1", home, false, true, false},
		"nobody known":                {"auto", "", "unix:", true, true, true},
		"off":                         {"off", "id=1", home, false, true, true},
	} {
		cfg := all()
		cfg.Key = keysFor(t, c.key).source
		var ask admission.Request
		New(cfg).Client(&ask, requestFor(t, "GET", "/", "Cookie", c.cookie), &cgi.Client{Addr: c.addr})
		if ask.Shared != c.shared || (ask.ClientKey == ask.Address) != c.keyIsAddress || (ask.Address == 0) != c.unknownAddress {
			t.Errorf("%s: %+v, want %+v", name, ask, c)
		}
		if want := originOf(c.addr).key(&cfg.Seeds); ask.Address != 0 && ask.Address != want {
			t.Errorf("%s: the address is %x, want %x", name, ask.Address, want)
		}

		cfg.Clients, ask = false, admission.Request{}
		if New(cfg).Client(&ask, requestFor(t, "GET", "/", "Cookie", c.cookie), &cgi.Client{Addr: c.addr}); ask != (admission.Request{}) {
			t.Errorf("%s: %+v, and nobody uses it", name, ask)
		}
	}
}

// A pattern of a long-poll may begin with the mount or below it.
func TestLongPollBelowTheMount(t *testing.T) {
	for _, c := range []struct{ pattern, mount, path string }{
		{"/poll", "/app", "/app/poll"},
		{"/app/poll", "/app", "/app/poll"},
		{"/chat/*/events", "/app", "/app/chat/1/events"},
		{"/poll", "", "/poll"},
	} {
		cfg := all()
		cfg.Mount, cfg.LongPoll = c.mount, []string{c.pattern}
		classifier := New(cfg)
		if !classifier.IsLongPoll(requestFor(t, "GET", c.path)) {
			t.Errorf("%s is no %s below %q", c.path, c.pattern, c.mount)
		}
		if classifier.IsLongPoll(requestFor(t, "GET", c.path+"x")) || classifier.IsLongPoll(requestFor(t, "GET", "/appx/poll")) {
			t.Errorf("%s matches too much below %q", c.pattern, c.mount)
		}
	}
}

// Only the route is allocated.
func TestAllocations(t *testing.T) {
	cfg := all()
	cfg.Label, cfg.Mount, cfg.LongPoll = "[/trac:] ", "/trac", []string{"/chat/*/events"}
	names := NewNames(siphash.Key{1}, "")
	cfg.Names = func() *Names { return names }
	c, r := New(cfg), requestFor(t, "GET", "/trac/wiki/Start?version=3", "Accept", acceptOfPage, "Prefer", "respond-async, wait=0",
		"Cookie", "theme=dark; trac_session=0123456789abcdef01234567; trac_auth=89abcdef0123456789abcdef01234567")
	ask, client := new(admission.Request), &cgi.Client{Addr: "2001:db8::1"}
	scratch := c.Request(ask, r, nil)
	if n := testing.AllocsPerRun(100, func() {
		c.Client(ask, r, client)
		scratch = c.Request(ask, r, scratch)
	}); n != 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}

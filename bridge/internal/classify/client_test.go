package classify

import (
	"hash/maphash"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/siphash"
)

// clientKeys makes client keys.
type clientKeys struct {
	source KeySource
	seeds  Seeds
}

func (k *clientKeys) of(r *http.Request, c *cgi.Client) (uint64, bool) {
	from, shared := k.source.of(r, c)
	return from.key(&k.seeds), shared
}

// keysFor returns the clientKeys of a value of client.key.
func keysFor(t testing.TB, setting string) *clientKeys {
	t.Helper()
	source, err := ParseKeySource(setting)
	if err != nil {
		t.Fatal(err)
	}
	return &clientKeys{source, NewSeeds(maphash.MakeSeed())}
}

// sender is the sender of a request.
type sender struct {
	cookie, header, authorization, user, addr string
}

func (k *clientKeys) ofSender(t testing.TB, s sender) (uint64, bool) {
	t.Helper()
	r := requestFor(t, "GET", "/")
	for name, value := range map[string]string{"Cookie": s.cookie, "X-Key": s.header, "Authorization": s.authorization} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	return k.of(r, &cgi.Client{Addr: s.addr, User: s.user})
}

const (
	home  = "192.0.2.7"
	work  = "198.51.100.9"
	alice = "0123456789abcdef"
	bob   = "fedcba9876543210"
)

// Pairs of requests, and whether they have the same client key.
func TestClientKeys(t *testing.T) {
	for name, c := range map[string]struct {
		key    string
		a, b   sender
		same   bool
		shared bool // whether a's key may be many people's
	}{
		"one session, two places":   {"auto", sender{cookie: "PHPSESSID=" + alice, addr: home}, sender{cookie: "a=b; PHPSESSID=" + alice + "; c=d", addr: work}, true, false},
		"two sessions, one place":   {"", sender{cookie: "trac_session=" + alice, addr: home}, sender{cookie: "trac_session=" + bob, addr: home}, false, false},
		"login before browser":      {"auto", sender{cookie: "trac_session=" + bob + "; trac_auth=" + alice}, sender{cookie: "trac_auth=" + alice + "; trac_session=x" + bob}, true, false},
		"MediaWiki":                 {"auto", sender{cookie: "wikidb_session=" + alice, addr: home}, sender{cookie: "wikidb_session=" + alice, addr: work}, true, false},
		"WordPress":                 {"auto", sender{cookie: "wordpress_logged_in_1=" + alice, addr: home}, sender{cookie: "wordpress_logged_in_1=" + bob, addr: home}, false, false},
		"a known name before one":   {"auto", sender{cookie: "a_session=" + bob + "; sid=" + alice}, sender{cookie: "sid=" + alice}, true, false},
		"quoted":                    {"auto", sender{cookie: `sid="` + alice + `"`}, sender{cookie: "sid=" + alice}, true, false},
		"too short for a session":   {"auto", sender{cookie: "session=guest", addr: home}, sender{addr: home}, true, true},
		"a cookie of no session":    {"auto", sender{cookie: "theme=" + alice, addr: home}, sender{cookie: "theme=" + bob, addr: home}, true, true},
		"a name in a value":         {"auto", sender{cookie: "a=sid=" + alice, addr: home}, sender{cookie: "a=sid=" + bob, addr: home}, true, true},
		"a user somebody checked":   {"auto", sender{user: "alice", addr: home}, sender{user: "alice", addr: work}, true, false},
		"a user nobody checked":     {"auto", sender{authorization: "Basic " + alice, addr: home}, sender{addr: home}, true, true},
		"nobody, two places":        {"auto", sender{addr: home}, sender{addr: work}, false, true},
		"the cookie":                {"cookie id", sender{cookie: "id=1", addr: home}, sender{cookie: "id=1", addr: work}, true, false},
		"names have a case":         {"cookie id", sender{cookie: "ID=1; id=2", addr: home}, sender{cookie: "id=2", addr: home}, true, false},
		"the first of two":          {"cookie id", sender{cookie: "id=1; id=2", addr: home}, sender{cookie: "id=1", addr: home}, true, false},
		"another cookie":            {"cookie id", sender{cookie: "PHPSESSID=" + alice, addr: home}, sender{addr: home}, true, true},
		"no value":                  {"cookie id", sender{cookie: "id=", addr: home}, sender{addr: home}, true, true},
		"a cookie is no header":     {"cookie X-Key", sender{header: "1", addr: home}, sender{addr: home}, true, true},
		"the header":                {"header x-key", sender{header: "1", addr: home}, sender{header: "1", addr: work}, true, false},
		"two headers":               {"header X-Key", sender{header: "1", addr: home}, sender{header: "2", addr: home}, false, false},
		"no header":                 {"header X-Key", sender{addr: home}, sender{addr: home}, true, true},
		"credentials":               {"user", sender{authorization: "Basic " + alice, addr: home}, sender{authorization: "basic  " + alice, addr: work}, true, false},
		"other credentials":         {"user", sender{authorization: "Bearer " + alice}, sender{authorization: "Bearer " + bob}, false, false},
		"what differs each time":    {"user", sender{authorization: "Digest username=alice, nc=1", addr: home}, sender{authorization: "Digest username=alice, nc=2", addr: home}, true, true},
		"a checked user first":      {"user", sender{user: "alice", authorization: "Basic 1"}, sender{user: "alice", authorization: "Basic 2"}, true, false},
		"a user is no address":      {"user", sender{user: home}, sender{addr: home}, false, false},
		"addresses":                 {"client", sender{cookie: "PHPSESSID=" + alice, addr: home}, sender{addr: home}, true, false},
		"a household's addresses":   {"client", sender{addr: "2001:db8:1:2::3"}, sender{addr: "2001:db8:1:2:ffff::9"}, true, false},
		"two households":            {"client", sender{addr: "2001:db8:1:2::3"}, sender{addr: "2001:db8:1:3::3"}, false, false},
		"what is no address":        {"client", sender{addr: "a:b"}, sender{addr: "a:c"}, false, false},
		"a proxy that names nobody": {"auto", sender{addr: "unix:"}, sender{addr: "unix:"}, true, true},
		"off":                       {"off", sender{cookie: "PHPSESSID=" + alice, addr: home}, sender{addr: work}, true, false},
		"spaces":                    {" cookie  id ", sender{cookie: "id=1", addr: home}, sender{cookie: " id=1 ", addr: work}, true, false},
	} {
		keys := keysFor(t, c.key)
		a, shared := keys.ofSender(t, c.a)
		b, _ := keys.ofSender(t, c.b)
		if (a == b) != c.same || shared != c.shared {
			t.Errorf("%s: %x and %x, shared %v, want the same %v, shared %v", name, a, b, shared, c.same, c.shared)
		}
	}
}

// If it is not known who asks, the key is 0, which has no limits.
func TestUnknownClient(t *testing.T) {
	for key, a := range map[string]sender{"off": {addr: home}, "auto": {addr: "unix:"}, "client": {}} {
		if got, _ := keysFor(t, key).ofSender(t, a); got != 0 {
			t.Errorf("%s: %+v is %x, want 0", key, a, got)
		}
	}
}

// Nobody who sees a client key in a report can find out by trying whose it is.
func TestClientKeysAreSecret(t *testing.T) {
	a, _ := keysFor(t, "client").ofSender(t, sender{addr: home})
	b, _ := keysFor(t, "client").ofSender(t, sender{addr: home})
	if a == b {
		t.Errorf("one address has the key %x with two seeds", a)
	}
}

// Gates with the same key give a client the same name wherever they give it the same client key, and
// another one with another key.
func TestNames(t *testing.T) {
	here, there := NewNames(siphash.Key{1}, "/app"), NewNames(siphash.Key{1}, "/app")
	other, site := NewNames(siphash.Key{2}, "/app"), NewNames(siphash.Key{1}, "/wiki")
	ask := func(names *Names, s sender) (ask admission.Request) {
		cfg := all()
		cfg.Names = func() *Names { return names }
		r := requestFor(t, "GET", "/", "Cookie", s.cookie)
		New(cfg).Client(&ask, r, &cgi.Client{Addr: s.addr, User: s.user})
		return ask
	}
	for name, s := range map[string]sender{
		"session": {cookie: "PHPSESSID=" + alice, addr: home}, "user": {user: "alice", addr: home},
		"address": {addr: home}, "IPv6": {cookie: "PHPSESSID=" + alice, addr: "2001:db8:1:2::3"}, "nobody": {addr: "unix:"},
	} {
		a, b, c, d := ask(here, s), ask(there, s), ask(other, s), ask(site, s)
		if a.ClientName != b.ClientName || a.AddressName != b.AddressName || a.ClientKey == b.ClientKey && a.ClientKey != 0 {
			t.Errorf("%s: %+v at one gate, %+v at another", name, a, b)
		}
		if known := name != "nobody"; (a.ClientName != c.ClientName) != known || (a.AddressName != c.AddressName) != known {
			t.Errorf("%s: %+v with one key, %+v with another", name, a, c)
		}
		if isSession := !a.Shared; a.AddressName != d.AddressName || (a.ClientName != d.ClientName) != isSession {
			t.Errorf("%s: %+v at one site, %+v at another", name, a, d)
		}
		if a.AddressName != here.Address(s.addr) {
			t.Errorf("%s: %+v, and the address is called %x", name, a, here.Address(s.addr))
		}
	}
	if a, b := ask(here, sender{user: "sid"}), ask(here, sender{cookie: "PHPSESSID=" + alice}); a.ClientName == b.ClientName {
		t.Error("a user and a session have one name")
	}
	if a, b := ask(here, sender{addr: "2001:db8:1:2::3"}), ask(here, sender{addr: "2001:db8:1:2:ffff::9"}); a.AddressName != b.AddressName {
		t.Error("a household has two names")
	}
}

func TestBadKeySources(t *testing.T) {
	for _, key := range []string{"Auto", "cookie", "header ", "cookie a b", "cookie a=b", "header X:Y", "user alice", "ip", "cookies x"} {
		if s, err := ParseKeySource(key); err == nil {
			t.Errorf("%q: %+v, want an error", key, s)
		} else if !strings.Contains(err.Error(), `"`) {
			t.Errorf("%q: error %q does not quote it", key, err)
		}
	}
}

func TestKeySourcesThatNameAccounts(t *testing.T) {
	for key, want := range map[string]bool{"": false, "auto": false, "client": false, "off": false, "cookie sid": true, "header X-Key": true, "user": true} {
		if got := keysFor(t, key).source.NamesAccounts(); got != want {
			t.Errorf("%q: %v, want %v", key, got, want)
		}
	}
}

// BenchmarkClient is all that is found out of who asks, without other gates and with some.
func BenchmarkClient(b *testing.B) {
	names := NewNames(siphash.Key{1}, "")
	r := requestFor(b, "GET", "/", "Cookie", "theme=dark; trac_session=0123456789abcdef01234567")
	for name, of := range map[string]func() *Names{"Alone": nil, "Fleet": func() *Names { return names }} {
		b.Run(name, func(b *testing.B) {
			cfg := all()
			cfg.Names = of
			c, client, ask := New(cfg), &cgi.Client{Addr: home}, new(admission.Request)
			b.ReportAllocs()
			for b.Loop() {
				c.Client(ask, r, client)
			}
		})
	}
}

func BenchmarkClientKey(b *testing.B) {
	cookies := "_ga=GA1.2.1234567890.1700000000; theme=dark; trac_form_token=0123456789abcdef01234567; " +
		"trac_session=0123456789abcdef01234567; trac_auth=89abcdef0123456789abcdef01234567"
	for name, c := range map[string]struct {
		key string
		a   sender
	}{
		"Session":  {"auto", sender{cookie: cookies, addr: home}},
		"None":     {"auto", sender{cookie: "_ga=GA1.2.1234567890.1700000000; theme=dark", addr: home}},
		"Cookie":   {"cookie trac_auth", sender{cookie: cookies, addr: home}},
		"Client":   {"client", sender{addr: home}},
		"ClientV6": {"client", sender{addr: "2001:db8:1:2::3"}},
	} {
		b.Run(name, func(b *testing.B) {
			keys := keysFor(b, c.key)
			r := requestFor(b, "GET", "/", "Cookie", c.a.cookie, "Accept", acceptOfPage)
			client := cgi.Client{Addr: c.a.addr}
			b.ReportAllocs()
			for b.Loop() {
				keys.of(r, &client)
			}
		})
	}
}

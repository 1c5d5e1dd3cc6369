package bridge

import (
	"hash/maphash"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// flowsFor returns the flows of a key.
func flowsFor(t testing.TB, key string) *flows {
	t.Helper()
	f, err := newFlows(key, newFlowSeeds(maphash.MakeSeed()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// asker is who sends a request.
type asker struct {
	cookie, header, authorization, user, addr string
}

func (f *flows) ofAsker(t testing.TB, a asker) (uint64, bool) {
	t.Helper()
	r := requestFor(t, "GET", "/")
	for name, value := range map[string]string{"Cookie": a.cookie, "X-Key": a.header, "Authorization": a.authorization} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	return f.of(r, &cgi.Client{Addr: a.addr, User: a.user})
}

const (
	home  = "192.0.2.7"
	work  = "198.51.100.9"
	alice = "0123456789abcdef"
	bob   = "fedcba9876543210"
)

// Pairs of requests, and whether they are taken for the same one's.
func TestFlows(t *testing.T) {
	for name, c := range map[string]struct {
		key    string
		a, b   asker
		same   bool
		shared bool // a's may be many people's
	}{
		"one session, two places":   {"auto", asker{cookie: "PHPSESSID=" + alice, addr: home}, asker{cookie: "a=b; PHPSESSID=" + alice + "; c=d", addr: work}, true, false},
		"two sessions, one place":   {"", asker{cookie: "trac_session=" + alice, addr: home}, asker{cookie: "trac_session=" + bob, addr: home}, false, false},
		"login before browser":      {"auto", asker{cookie: "trac_session=" + bob + "; trac_auth=" + alice}, asker{cookie: "trac_auth=" + alice + "; trac_session=x" + bob}, true, false},
		"MediaWiki":                 {"auto", asker{cookie: "wikidb_session=" + alice, addr: home}, asker{cookie: "wikidb_session=" + alice, addr: work}, true, false},
		"WordPress":                 {"auto", asker{cookie: "wordpress_logged_in_1=" + alice, addr: home}, asker{cookie: "wordpress_logged_in_1=" + bob, addr: home}, false, false},
		"a known name before one":   {"auto", asker{cookie: "a_session=" + bob + "; sid=" + alice}, asker{cookie: "sid=" + alice}, true, false},
		"quoted":                    {"auto", asker{cookie: `sid="` + alice + `"`}, asker{cookie: "sid=" + alice}, true, false},
		"too short for a session":   {"auto", asker{cookie: "session=guest", addr: home}, asker{addr: home}, true, true},
		"a cookie of no session":    {"auto", asker{cookie: "theme=" + alice, addr: home}, asker{cookie: "theme=" + bob, addr: home}, true, true},
		"a name in a value":         {"auto", asker{cookie: "a=sid=" + alice, addr: home}, asker{cookie: "a=sid=" + bob, addr: home}, true, true},
		"a user somebody checked":   {"auto", asker{user: "alice", addr: home}, asker{user: "alice", addr: work}, true, false},
		"a user nobody checked":     {"auto", asker{authorization: "Basic " + alice, addr: home}, asker{addr: home}, true, true},
		"nobody, two places":        {"auto", asker{addr: home}, asker{addr: work}, false, true},
		"the cookie":                {"cookie id", asker{cookie: "id=1", addr: home}, asker{cookie: "id=1", addr: work}, true, false},
		"names have a case":         {"cookie id", asker{cookie: "ID=1; id=2", addr: home}, asker{cookie: "id=2", addr: home}, true, false},
		"the first of two":          {"cookie id", asker{cookie: "id=1; id=2", addr: home}, asker{cookie: "id=1", addr: home}, true, false},
		"another cookie":            {"cookie id", asker{cookie: "PHPSESSID=" + alice, addr: home}, asker{addr: home}, true, true},
		"no value":                  {"cookie id", asker{cookie: "id=", addr: home}, asker{addr: home}, true, true},
		"a cookie is no header":     {"cookie X-Key", asker{header: "1", addr: home}, asker{addr: home}, true, true},
		"the header":                {"header x-key", asker{header: "1", addr: home}, asker{header: "1", addr: work}, true, false},
		"two headers":               {"header X-Key", asker{header: "1", addr: home}, asker{header: "2", addr: home}, false, false},
		"no header":                 {"header X-Key", asker{addr: home}, asker{addr: home}, true, true},
		"credentials":               {"user", asker{authorization: "Basic " + alice, addr: home}, asker{authorization: "basic  " + alice, addr: work}, true, false},
		"other credentials":         {"user", asker{authorization: "Bearer " + alice}, asker{authorization: "Bearer " + bob}, false, false},
		"what differs each time":    {"user", asker{authorization: "Digest username=alice, nc=1", addr: home}, asker{authorization: "Digest username=alice, nc=2", addr: home}, true, true},
		"a checked user first":      {"user", asker{user: "alice", authorization: "Basic 1"}, asker{user: "alice", authorization: "Basic 2"}, true, false},
		"a user is no address":      {"user", asker{user: home}, asker{addr: home}, false, false},
		"addresses":                 {"client", asker{cookie: "PHPSESSID=" + alice, addr: home}, asker{addr: home}, true, false},
		"a household's addresses":   {"client", asker{addr: "2001:db8:1:2::3"}, asker{addr: "2001:db8:1:2:ffff::9"}, true, false},
		"two households":            {"client", asker{addr: "2001:db8:1:2::3"}, asker{addr: "2001:db8:1:3::3"}, false, false},
		"what is no address":        {"client", asker{addr: "a:b"}, asker{addr: "a:c"}, false, false},
		"a proxy that names nobody": {"auto", asker{addr: "unix:"}, asker{addr: "unix:"}, true, true},
		"off":                       {"off", asker{cookie: "PHPSESSID=" + alice, addr: home}, asker{addr: work}, true, false},
		"spaces":                    {" cookie  id ", asker{cookie: "id=1", addr: home}, asker{cookie: " id=1 ", addr: work}, true, false},
	} {
		f := flowsFor(t, c.key)
		a, shared := f.ofAsker(t, c.a)
		b, _ := f.ofAsker(t, c.b)
		if (a == b) != c.same || shared != c.shared {
			t.Errorf("%s: %x and %x, shared %v, want the same %v, shared %v", name, a, b, shared, c.same, c.shared)
		}
	}
}

// Nobody has no flow: no one's limits are theirs.
func TestNobody(t *testing.T) {
	for key, a := range map[string]asker{"off": {addr: home}, "auto": {addr: "unix:"}, "client": {}} {
		if flow, _ := flowsFor(t, key).ofAsker(t, a); flow != 0 {
			t.Errorf("%s: %+v is %x, want 0", key, a, flow)
		}
	}
}

// Who sees a flow in a report cannot find out whose it is by trying.
func TestFlowsAreSecret(t *testing.T) {
	a, _ := flowsFor(t, "client").ofAsker(t, asker{addr: home})
	b, _ := flowsFor(t, "client").ofAsker(t, asker{addr: home})
	if a == b {
		t.Errorf("two bridges know a client as %x", a)
	}
}

func TestBadFlowKeys(t *testing.T) {
	for _, key := range []string{"Auto", "cookie", "header ", "cookie a b", "cookie a=b", "header X:Y", "user alice", "ip", "cookies x"} {
		if k, err := parseFlowKey(key); err == nil {
			t.Errorf("%q: %+v, want an error", key, k)
		} else if !strings.Contains(err.Error(), `"`) {
			t.Errorf("%q: error %q does not quote it", key, err)
		}
	}
}

func BenchmarkFlow(b *testing.B) {
	cookies := "_ga=GA1.2.1234567890.1700000000; theme=dark; trac_form_token=0123456789abcdef01234567; " +
		"trac_session=0123456789abcdef01234567; trac_auth=89abcdef0123456789abcdef01234567"
	for name, c := range map[string]struct {
		key string
		a   asker
	}{
		"Session":  {"auto", asker{cookie: cookies, addr: home}},
		"None":     {"auto", asker{cookie: "_ga=GA1.2.1234567890.1700000000; theme=dark", addr: home}},
		"Cookie":   {"cookie trac_auth", asker{cookie: cookies, addr: home}},
		"Client":   {"client", asker{addr: home}},
		"ClientV6": {"client", asker{addr: "2001:db8:1:2::3"}},
	} {
		b.Run(name, func(b *testing.B) {
			f := flowsFor(b, c.key)
			r := requestFor(b, "GET", "/", "Cookie", c.a.cookie, "Accept", acceptOfPage)
			client := cgi.Client{Addr: c.a.addr}
			b.ReportAllocs()
			for b.Loop() {
				f.of(r, &client)
			}
		})
	}
}

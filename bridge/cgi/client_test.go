package cgi

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"testing"
)

func TestClient(t *testing.T) {
	m := newMapper(t, Config{TrustedProxies: []string{"192.0.2.7", "10.0.0.0/8", "2001:db8:1::/48", "::ffff:198.51.100.0/120"}})
	const peer = "192.0.2.7:51234" // trusted
	h := func(lines ...string) http.Header {
		header := http.Header{}
		for i := 0; i < len(lines); i += 2 {
			header.Add(lines[i], lines[i+1])
		}
		return header
	}
	const xff, xfp, fwd = "X-Forwarded-For", "X-Forwarded-Proto", "Forwarded"
	refused := Client{Refused: &RequestError{}}
	for _, test := range []struct {
		name   string
		remote string
		header http.Header
		want   Client
	}{
		{"no header", peer, nil, Client{Addr: "192.0.2.7", Port: "51234", Scheme: "http", Trusted: true}},
		{"untrusted peer", "203.0.113.1:1", h(xff, "1.2.3.4", xfp, "https", fwd, "for=1.2.3.4;proto=https"), Client{Addr: "203.0.113.1", Port: "1", Scheme: "http"}},
		{"mapped peer", "[::ffff:10.1.2.3]:9", h(xff, "1.2.3.4"), Client{Addr: "1.2.3.4", Scheme: "http", Trusted: true}},
		{"mapped prefix", "198.51.100.9:9", h(xff, "1.2.3.4"), Client{Addr: "1.2.3.4", Scheme: "http", Trusted: true}},
		{"IPv6 peer", "[2001:db8:1::5]:9", h(xff, "2001:DB8::1"), Client{Addr: "2001:db8::1", Scheme: "http", Trusted: true}},
		{"zone", "[fe80::1%eth0]:9", nil, Client{Addr: "fe80::1", Port: "9", Scheme: "http"}},
		{"address without port", "192.0.2.7", h(xff, "1.2.3.4"), Client{Addr: "1.2.3.4", Scheme: "http", Trusted: true}},
		{"replaced by a word", "someone", h(xff, "1.2.3.4"), Client{Addr: "someone", Scheme: "http"}},

		{"one address", peer, h(xff, "203.0.113.9"), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
		{"spoofed on the left", peer, h(xff, "10.9.9.9, 1.1.1.1, 203.0.113.9"), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
		{"trusted on the right", peer, h(xff, "1.1.1.1, 203.0.113.9, 10.0.0.1,10.0.0.2"), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
		{"several lines", peer, h(xff, "1.1.1.1", xff, "203.0.113.9 , 10.0.0.1", xff, "10.0.0.2"), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
		{"all trusted", peer, h(xff, "10.0.0.3, 10.0.0.1"), Client{Addr: "10.0.0.3", Scheme: "http", Trusted: true}},
		{"with port", peer, h(xff, "203.0.113.9:4711"), Client{Addr: "203.0.113.9", Port: "4711", Scheme: "http", Trusted: true}},
		{"IPv6 with port", peer, h(xff, "[2001:db8::1]:4711"), Client{Addr: "2001:db8::1", Port: "4711", Scheme: "http", Trusted: true}},
		{"mapped", peer, h(xff, "::ffff:203.0.113.9"), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
		{"unknown", peer, h(xff, "1.1.1.1, unknown"), Client{Addr: "192.0.2.7", Port: "51234", Scheme: "http", Trusted: true}},
		{"unknown behind a proxy", peer, h(xff, "1.1.1.1, unknown, 10.0.0.1"), Client{Addr: "10.0.0.1", Scheme: "http", Trusted: true}},
		{"empty", peer, h(xff, ""), Client{Addr: "192.0.2.7", Port: "51234", Scheme: "http", Trusted: true}},
		{"garbage", peer, h(xff, "1.2.3.4:99999999"), Client{Addr: "192.0.2.7", Port: "51234", Scheme: "http", Trusted: true}},

		{"scheme alone", peer, h(xfp, "HTTPS"), Client{Addr: "192.0.2.7", Port: "51234", Scheme: "https", Trusted: true}},
		{"scheme for each hop", peer, h(xff, "203.0.113.9, 10.0.0.1", xfp, "https, http"), Client{Addr: "203.0.113.9", Scheme: "https", Trusted: true}},
		{"scheme spoofed on the left", peer, h(xff, "1.1.1.1, 203.0.113.9", xfp, "https, http"), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
		{"one scheme for two hops", peer, h(xff, "203.0.113.9, 10.0.0.1", xfp, "https"), Client{Addr: "203.0.113.9", Scheme: "https", Trusted: true}},
		{"more schemes than hops", peer, h(xff, "203.0.113.9", xfp, "https, http"), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
		{"unknown scheme", peer, h(xff, "203.0.113.9", xfp, "gopher"), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},

		// The examples of RFC 7239 section 4.
		{"node", peer, h(fwd, `for=192.0.2.43`), Client{Addr: "192.0.2.43", Scheme: "http", Trusted: true}},
		{"quoted", peer, h(fwd, `For="[2001:db8:cafe::17]:4711"`), Client{Addr: "2001:db8:cafe::17", Port: "4711", Scheme: "http", Trusted: true}},
		{"pairs", peer, h(fwd, `for=192.0.2.60;proto=https;by=203.0.113.43`), Client{Addr: "192.0.2.60", Scheme: "https", Trusted: true}},
		{"list", peer, h(fwd, `for=192.0.2.43, for=198.51.100.17`), Client{Addr: "192.0.2.43", Scheme: "http", Trusted: true}},
		{"obfuscated", peer, h(fwd, `for="_gazonk"`), Client{Addr: "192.0.2.7", Port: "51234", Scheme: "http", Trusted: true}},

		{"untrusted on the right", peer, h(fwd, `for=1.1.1.1;proto=https, for=203.0.113.9;proto=http`), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
		{"open quote on the left", peer, h(fwd, `for="1.1.1.1`, fwd, `for=203.0.113.9`), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
		{"open quote swallows", peer, h(fwd, `for=", for=203.0.113.9`), refused},
		{"escape", peer, h(fwd, `for="203.0.113\.9";by="a\"b"`), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
		{"rubbish after a value", peer, h(fwd, `for=1.1.1.1 x`), refused},
		{"open bracket", peer, h(fwd, `for="[::1"`), Client{Addr: "192.0.2.7", Port: "51234", Scheme: "http", Trusted: true}},
		{"rubbish after a bracket", peer, h(fwd, `for="[::1]x"`), Client{Addr: "192.0.2.7", Port: "51234", Scheme: "http", Trusted: true}},
		{"comma in quotes", peer, h(fwd, `for=203.0.113.9;by="a,for=1.1.1.1"`), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
		{"port unquoted", peer, h(fwd, `for=203.0.113.9:80`), Client{Addr: "203.0.113.9", Port: "80", Scheme: "http", Trusted: true}},
		{"quote in the client's part", peer, h(fwd, `for=6.6.6.6;by="`), refused},
		{"quote behind a trusted hop", peer, h(fwd, `for=6.6.6.6;by=", for=203.0.113.9`, fwd, `for=10.0.0.5`), refused},
		{"quote in a line nobody looks at", peer, h(fwd, `for=6.6.6.6;by="`, fwd, `for=203.0.113.9`), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
		{"quote from an untrusted peer", "203.0.113.1:1", h(fwd, `for=6.6.6.6;by="`), Client{Addr: "203.0.113.1", Port: "1", Scheme: "http"}},
		{"escaped end", peer, h(fwd, `for=6.6.6.6;by="\`), refused},
		{"empty elements", peer, h(fwd, `, for=1.1.1.1,,for=203.0.113.9; ;proto=https;by=;, `), Client{Addr: "203.0.113.9", Scheme: "https", Trusted: true}},
		{"nothing", peer, h(fwd, ``), Client{Addr: "192.0.2.7", Port: "51234", Scheme: "http", Trusted: true}},
		{"IPv6 unquoted", peer, h(fwd, `for=[2001:db8::1]:80`), Client{Addr: "2001:db8::1", Port: "80", Scheme: "http", Trusted: true}},
		{"host", peer, h(fwd, `for=203.0.113.9;proto=https;host="example.org:8443"`), Client{Addr: "203.0.113.9", Scheme: "https", Host: "example.org:8443", Trusted: true}},
		{"host of the client's hop", peer, h(fwd, `for=1.1.1.1;host=evil.example, for=203.0.113.9;host=example.org, for=10.0.0.1;host=inner`), Client{Addr: "203.0.113.9", Scheme: "http", Host: "example.org", Trusted: true}},
		{"no for", peer, h(fwd, `proto=https`), Client{Addr: "192.0.2.7", Port: "51234", Scheme: "http", Trusted: true}},
		{"broken", peer, h(fwd, `for 203.0.113.9`), refused},
		{"X- wins", peer, h(fwd, `for=1.1.1.1;proto=https`, xff, "203.0.113.9"), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
	} {
		r := get(t, "/")
		r.RemoteAddr, r.Header = test.remote, test.header
		got := m.Client(r)
		if (got.Refused != nil) != (test.want.Refused != nil) {
			t.Errorf("%s: refused with %v, want %v", test.name, got.Refused, test.want.Refused)
		} else if got.Refused == nil && got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
		if list, err := m.Vars(nil, r, &got, 0); got.Refused != nil && (err != got.Refused || len(list) > 0 || got.Refused.Status != http.StatusBadRequest) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// What a trusted proxy says the client asked for is what the application is told.
func TestForwardedHost(t *testing.T) {
	const addr = "X-Forwarded-For: 203.0.113.9"
	for _, test := range []struct {
		name, fields, host           string
		https, server, port, forHost string // the wanted HTTPS, SERVER_NAME, SERVER_PORT, HTTP_HOST
	}{
		{"nothing", addr, "example.org", absent, "example.org", "80", "example.org"},
		{"scheme", "X-Forwarded-Proto: https", "example.org", "on", "example.org", "443", "example.org"},
		{"scheme in capitals, twice", "X-Forwarded-Proto: HTTPS, https", "example.org", "on", "example.org", "443", "example.org"},
		{"scheme on several lines", "X-Forwarded-Proto: http\nX-Forwarded-Proto: https", "example.org", "on", "example.org", "443", "example.org"},
		{"our own port", "X-Forwarded-Proto: https", "example.org:8108", "on", "example.org", "443", "example.org"},
		{"our own port, and no other scheme", addr, "example.org:8108", absent, "example.org", "8108", "example.org:8108"},
		{"the client's port", "X-Forwarded-Proto: https", "example.org:8443", "on", "example.org", "8443", "example.org:8443"},
		{"host", "X-Forwarded-Proto: https\nX-Forwarded-Host: example.org", "127.0.0.1:8108", "on", "example.org", "443", "example.org"},
		{"host with port", "X-Forwarded-Proto: https\nX-Forwarded-Host: example.org:8443\nX-Forwarded-Port: 444", "inner", "on", "example.org", "8443", "example.org:8443"},
		{"host and port", "X-Forwarded-Proto: https\nX-Forwarded-Host: example.org\nX-Forwarded-Port: 8443", "inner", "on", "example.org", "8443", "example.org:8443"},
		{"host and the scheme's port", "X-Forwarded-Proto: https\nX-Forwarded-Host: example.org\nX-Forwarded-Port: 443", "inner", "on", "example.org", "443", "example.org"},
		{"port", "X-Forwarded-Proto: https\nX-Forwarded-Port: 443", "example.org:8108", "on", "example.org", "443", "example.org"},
		{"port for HTTP", "X-Forwarded-Port: 81", "example.org", absent, "example.org", "81", "example.org:81"},
		{"no port", "X-Forwarded-Port: http", "example.org", absent, "example.org", "80", "example.org"},
		{"port 0", "X-Forwarded-Port: 0", "example.org", absent, "example.org", "80", "example.org"},
		{"port with zeros", "X-Forwarded-Proto: https\nX-Forwarded-Port: 00443", "example.org", "on", "example.org", "443", "example.org"},
		{"port too large", "X-Forwarded-Port: 65536", "example.org", absent, "example.org", "80", "example.org"},
		{"IPv6", "X-Forwarded-Host: [2001:db8::1]\nX-Forwarded-Port: 81", "inner", absent, "[2001:db8::1]", "81", "[2001:db8::1]:81"},
		{"host for each hop", "X-Forwarded-For: 203.0.113.9, 10.0.0.1\nX-Forwarded-Host: example.org, inner", "x", absent, "example.org", "80", "example.org"},
		{"host spoofed on the left", "X-Forwarded-For: 1.1.1.1, 203.0.113.9\nX-Forwarded-Host: evil.example, example.org", "x", absent, "example.org", "80", "example.org"},
		{"more hosts than hops", addr + "\nX-Forwarded-Host: evil.example, example.org", "x", absent, "example.org", "80", "example.org"},
		{"Forwarded", "Forwarded: for=203.0.113.9;host=example.org;proto=https", "127.0.0.1:8108", "on", "example.org", "443", "example.org"},
		{"Forwarded wins over its client's fields", "Forwarded: for=203.0.113.9\nX-Forwarded-Host: evil.example", "example.org", absent, "example.org", "80", "example.org"},
	} {
		r := request(t, "GET / HTTP/1.1\nHost: "+test.host+"\n"+test.fields)
		local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8108}
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
		t.Log(test.name)
		trusting := newMapper(t, Config{TrustedProxies: []string{"192.0.2.7", "10.0.0.0/8"}})
		wantVars(t, vars(t, trusting, r, 0), map[string]string{
			"HTTPS": test.https, "SERVER_NAME": test.server, "SERVER_PORT": test.port, "HTTP_HOST": test.forHost,
		})
		name, port, _ := splitHost(test.host)
		wantVars(t, vars(t, newMapper(t, Config{}), r, 0), map[string]string{
			"HTTPS": absent, "SERVER_NAME": name, "SERVER_PORT": or(port, "80"), "HTTP_HOST": test.host, "HTTP_X_FORWARDED_HOST": absent,
		})
	}
}

// A front that knows the client by itself reads the rest as we do.
func TestThroughProxy(t *testing.T) {
	for _, test := range []struct{ addr, fields, scheme, host string }{
		{"203.0.113.9", "X-Forwarded-Proto: https, https", "https", ""},
		{"203.0.113.9", "X-Forwarded-Proto: HTTPS", "https", ""},
		{"203.0.113.9", "X-Forwarded-Proto: http\nX-Forwarded-Proto: https", "https", ""},
		{"203.0.113.9", "X-Forwarded-For: 203.0.113.9, 10.0.0.1\nX-Forwarded-Proto: https, http\nX-Forwarded-Host: a.example, b.example", "https", "a.example"},
		{"198.51.100.1", "X-Forwarded-For: 203.0.113.9, 10.0.0.1\nX-Forwarded-Proto: https, http", "http", ""},
		{"203.0.113.9", "X-Forwarded-Host: example.org\nX-Forwarded-Port: 8443", "http", "example.org:8443"},
		{"203.0.113.9", "X-Forwarded-Proto: gopher", "http", ""},
	} {
		c := Client{Addr: test.addr, Scheme: "http"}
		c.ThroughProxy(request(t, "GET / HTTP/1.1\nHost: inner\n"+test.fields))
		if want := (Client{Addr: test.addr, Scheme: test.scheme, Host: test.host, Trusted: true}); c != want {
			t.Errorf("%q: got %+v, want %+v", test.fields, c, want)
		}
	}
}

func TestForwardedHostThatIsNone(t *testing.T) {
	m := newMapper(t, Config{TrustedProxies: []string{"192.0.2.7"}})
	for _, field := range []string{`X-Forwarded-Host: a"b`, "X-Forwarded-Host: a/b", "X-Forwarded-Host: a:b:c", `Forwarded: for=1.2.3.4;host="<x>"`} {
		wantRefused(t, m, request(t, "GET / HTTP/1.1\nHost: example.org\n"+field), http.StatusBadRequest)
	}
}

// The user that a proxy names is believed from a trusted one alone.
func TestUserHeader(t *testing.T) {
	m := newMapper(t, Config{TrustedProxies: []string{"192.0.2.7", "unix"}, UserHeader: "x-remote-user"})
	for _, test := range []struct{ remote, fields, user, authType, passed string }{
		{"192.0.2.7:1", "X-Remote-User: jane", "jane", "Basic", "jane"},
		{"@", "X-Remote-User: jane", "jane", "Basic", "jane"},
		{"192.0.2.7:1", "X-Remote-User: jane\nAuthorization: Bearer abc", "jane", "Bearer", "jane"},
		{"192.0.2.7:1", "X-Remote-User: jane\nAuthorization: basic abc", "jane", "Basic", "jane"},
		{"192.0.2.7:1", "X-Remote-User: jane\nConnection: X-Remote-User", "jane", "Basic", "jane"},
		{"192.0.2.7:1", "X-Remote-User:", absent, absent, ""},
		{"192.0.2.7:1", "X_Remote_User: jane", absent, absent, absent},
		{"203.0.113.1:1", "X-Remote-User: jane", absent, absent, absent},
		{"203.0.113.1:1", "X-REMOTE-USER: jane", absent, absent, absent},
	} {
		r := request(t, "GET / HTTP/1.1\nHost: example.org\n"+test.fields)
		r.RemoteAddr = test.remote
		t.Logf("%s %q", test.remote, test.fields)
		wantVars(t, vars(t, m, r, 0), map[string]string{"REMOTE_USER": test.user, "AUTH_TYPE": test.authType, "HTTP_X_REMOTE_USER": test.passed})
	}
	// The proxy's beside the client's: nobody knows which is which.
	wantRefused(t, m, request(t, "GET / HTTP/1.1\nHost: a\nX-Remote-User: admin\nX-Remote-User: jane"), http.StatusBadRequest)
}

func TestClientOverTLS(t *testing.T) {
	m := newMapper(t, Config{TrustedProxies: []string{"192.0.2.7"}})
	r := get(t, "/")
	r.TLS = &tls.ConnectionState{}
	if c := m.Client(r); c.Scheme != "https" {
		t.Errorf("got %+v", c)
	}
	r.Header.Set("X-Forwarded-Proto", "http")
	if c := m.Client(r); c.Scheme != "http" {
		t.Errorf("got %+v", c)
	}
}

func TestClientOnAUnixSocket(t *testing.T) {
	unnamed := func(r *http.Request) *http.Request { // as on macOS and FreeBSD
		r.RemoteAddr = ""
		return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{Name: "/s", Net: "unix"}))
	}
	for name, peer := range map[string]func(r *http.Request) *http.Request{
		"unnamed": unnamed,
		"@":       func(r *http.Request) *http.Request { r.RemoteAddr = "@"; return r },
		"path":    func(r *http.Request) *http.Request { r.RemoteAddr = "/run/client.sock"; return r },
	} {
		r := get(t, "/")
		r.Header.Set("X-Forwarded-For", "203.0.113.9")
		r = peer(r)
		trusting := newMapper(t, Config{TrustedProxies: []string{"unix"}})
		if got, want := trusting.Client(r), (Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		other := newMapper(t, Config{TrustedProxies: []string{"0.0.0.0/0", "::/0"}})
		if got, want := other.Client(r), (Client{Addr: "unix:", Scheme: "http"}); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

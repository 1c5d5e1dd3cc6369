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
	for _, test := range []struct {
		name   string
		remote string
		header http.Header
		want   Client
	}{
		{"no header", peer, nil, Client{"192.0.2.7", "51234", "http", true, "", ""}},
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
		{"unknown", peer, h(xff, "1.1.1.1, unknown"), Client{"192.0.2.7", "51234", "http", true, "", ""}},
		{"unknown behind a proxy", peer, h(xff, "1.1.1.1, unknown, 10.0.0.1"), Client{Addr: "10.0.0.1", Scheme: "http", Trusted: true}},
		{"empty", peer, h(xff, ""), Client{"192.0.2.7", "51234", "http", true, "", ""}},
		{"garbage", peer, h(xff, "1.2.3.4:99999999"), Client{"192.0.2.7", "51234", "http", true, "", ""}},

		{"scheme alone", peer, h(xfp, "HTTPS"), Client{"192.0.2.7", "51234", "https", true, "", ""}},
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
		{"obfuscated", peer, h(fwd, `for="_gazonk"`), Client{"192.0.2.7", "51234", "http", true, "", ""}},

		{"untrusted on the right", peer, h(fwd, `for=1.1.1.1;proto=https, for=203.0.113.9;proto=http`), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
		{"open quote on the left", peer, h(fwd, `for="1.1.1.1`, fwd, `for=203.0.113.9`), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
		{"open quote swallows", peer, h(fwd, `for=", for=203.0.113.9`), Client{"192.0.2.7", "51234", "http", true, "", ""}},
		{"escape", peer, h(fwd, `for=203.0.113.9;by="a\b"`), Client{"192.0.2.7", "51234", "http", true, "", ""}},
		{"rubbish after a value", peer, h(fwd, `for=1.1.1.1 x`), Client{"192.0.2.7", "51234", "http", true, "", ""}},
		{"open bracket", peer, h(fwd, `for="[::1"`), Client{"192.0.2.7", "51234", "http", true, "", ""}},
		{"rubbish after a bracket", peer, h(fwd, `for="[::1]x"`), Client{"192.0.2.7", "51234", "http", true, "", ""}},
		{"comma in quotes", peer, h(fwd, `for=203.0.113.9;by="a,for=1.1.1.1"`), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
		{"port unquoted", peer, h(fwd, `for=203.0.113.9:80`), Client{Addr: "203.0.113.9", Port: "80", Scheme: "http", Trusted: true}},
		{"no for", peer, h(fwd, `proto=https`), Client{"192.0.2.7", "51234", "http", true, "", ""}},
		{"broken", peer, h(fwd, `for 203.0.113.9`), Client{"192.0.2.7", "51234", "http", true, "", ""}},
		{"X- wins", peer, h(fwd, `for=1.1.1.1;proto=https`, xff, "203.0.113.9"), Client{Addr: "203.0.113.9", Scheme: "http", Trusted: true}},
	} {
		r := get(t, "/")
		r.RemoteAddr, r.Header = test.remote, test.header
		if got := m.Client(r); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
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

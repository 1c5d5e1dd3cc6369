package cgi

import (
	"net/http"
	"net/netip"
	"testing"
)

// Whatever a client writes into Forwarded, a proxy that adds its element to the line, or
// another line, is not misled: the client is the one it saw, or the request is refused.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{
		`for=6.6.6.6;by="`, `for="[::1]:80";proto=https`, `for=6.6.6.6, `, `for=6.6.6.6;by="a,b\"`, `for=_x;host="a b"`, `,`, `;;`, `for`, `for=1.1.1.1;by=",for=2.2.2.2"`, "\\", `"`,
	} {
		f.Add(s)
	}
	m := newMapper(f, Config{TrustedProxies: []string{"192.0.2.7"}})
	const client = "203.0.113.9"
	f.Fuzz(func(t *testing.T, written string) {
		for name, lines := range map[string][]string{
			"one line": {written + ", for=" + client}, "two lines": {written, "for=" + client}, "quoted": {written + `, for="` + client + `:80"`},
		} {
			r := &http.Request{RemoteAddr: "192.0.2.7:1", Header: http.Header{"Forwarded": lines}}
			if c := m.Client(r); c.Refused == nil && c.Addr != client {
				t.Errorf("%s %q: the client is %q", name, lines, c.Addr)
			}
		}
		// Alone, it is parsed, or refused, and nothing that is no address gets through.
		c := m.Client(&http.Request{RemoteAddr: "192.0.2.7:1", Header: http.Header{"Forwarded": {written}}})
		if _, err := netip.ParseAddr(c.Addr); err != nil {
			t.Errorf("%q: the client is %q", written, c.Addr)
		}
		if _, _, ok := splitHost(c.Host); !ok && c.Host != "" {
			t.Errorf("%q: the host is %q", written, c.Host)
		}
	})
}

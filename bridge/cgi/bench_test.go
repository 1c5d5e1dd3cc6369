package cgi

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
)

func browserRequest(target string) *http.Request {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		panic(err)
	}
	r := &http.Request{
		Method: http.MethodGet, URL: u, RequestURI: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Host: "trac.example.org", RemoteAddr: "192.0.2.7:51234",
		Header: http.Header{
			"Accept":                    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
			"Accept-Encoding":           {"gzip, deflate, br"},
			"Accept-Language":           {"en-GB,en;q=0.5"},
			"Connection":                {"keep-alive"},
			"Cookie":                    {"trac_session=0123456789abcdef01234567; trac_form_token=89abcdef"},
			"Referer":                   {"http://trac.example.org/sandbox/wiki"},
			"Sec-Fetch-Dest":            {"document"},
			"Sec-Fetch-Mode":            {"navigate"},
			"Sec-Fetch-Site":            {"same-origin"},
			"Upgrade-Insecure-Requests": {"1"},
			"User-Agent":                {"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
			"X-Application-Header":      {"not in the table"},
		},
	}
	local := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8080}
	return r.WithContext(context.WithValue(context.Background(), http.LocalAddrContextKey, local))
}

// benchmarkVars measures the variables of a GET request for target.
func benchmarkVars(b *testing.B, cfg Config, target string) {
	m := newMapper(b, cfg)
	r := browserRequest(target)
	c := m.Client(r)
	vars := make([]Var, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if vars, err = m.Vars(vars[:0], r, &c, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVars(b *testing.B) {
	benchmarkVars(b, Config{Mount: "/sandbox", Env: map[string]string{"TRAC_ENV": "/srv/trac"}}, "/sandbox/wiki/WikiStart?version=3")
}

func BenchmarkVarsPHP(b *testing.B) {
	dir := b.TempDir()
	writeFile(b, dir, "wiki/doku.php", 0o644)
	benchmarkVars(b, Config{Preset: PresetPHP, Root: dir}, "/wiki/doku.php/start?do=edit")
}

func BenchmarkVarsCGI(b *testing.B) {
	dir := b.TempDir()
	writeFile(b, dir, "bin/gitweb.cgi", 0o755)
	benchmarkVars(b, Config{Preset: PresetCGI, Root: dir}, "/bin/gitweb.cgi/little.git/tree")
}

// BenchmarkVarsRelease has a root that is a symlink to a release.
func BenchmarkVarsRelease(b *testing.B) {
	dir := b.TempDir()
	writeFile(b, dir, "releases/1/index.php", 0o644)
	writeFile(b, dir, "releases/1/sub/index.php", 0o644)
	symlink(b, "releases/1", filepath.Join(dir, "current"))
	cfg := Config{Preset: PresetPHP, Root: filepath.Join(dir, "current"), Fallback: "/index.php"}
	b.Run("index", func(b *testing.B) { benchmarkVars(b, cfg, "/sub/") })
	b.Run("fallback", func(b *testing.B) { benchmarkVars(b, cfg, "/a/pretty/page") })
}

func BenchmarkClient(b *testing.B) {
	m, err := NewMapper(Config{TrustedProxies: []string{"192.0.2.0/24"}})
	if err != nil {
		b.Fatal(err)
	}
	r := browserRequest("/")
	r.Header["X-Forwarded-For"] = []string{"198.51.100.9, 203.0.113.5, 192.0.2.8"}
	r.Header["X-Forwarded-Proto"] = []string{"https"}
	b.ReportAllocs()
	for b.Loop() {
		if c := m.Client(r); c.Addr != "203.0.113.5" {
			b.Fatal(c)
		}
	}
}

func BenchmarkParseResponse(b *testing.B) {
	block := []byte("Status: 200 OK\r\nX-Powered-By: PHP/8.2.7\r\nContent-type: text/html; charset=UTF-8\r\n" +
		"Set-Cookie: a=1; path=/\r\nCache-Control: no-store\r\nContent-Length: 200\r\n\r\n")
	h := make(http.Header, 8)
	b.ReportAllocs()
	for b.Loop() {
		clear(h)
		if HeaderEnd(block, 0) != len(block) {
			b.Fatal("no end")
		}
		if _, err := ParseResponse(block, h); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStaticFile(b *testing.B) {
	dir := b.TempDir()
	writeFile(b, dir, "img/logo.png", 0o644)
	m, err := NewMapper(Config{Preset: PresetPHP, Root: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	r := browserRequest("/img/logo.png")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := m.StaticFile(r); !ok {
			b.Fatal("not a file")
		}
	}
}

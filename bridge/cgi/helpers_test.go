package cgi

import (
	"bufio"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// request parses raw as net/http's server does. Lines end in LF for legibility.
func request(tb testing.TB, raw string) *http.Request {
	tb.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(raw, "\n", "\r\n") + "\r\n\r\n")))
	if err != nil {
		tb.Fatalf("read request: %v", err)
	}
	r.RemoteAddr = "192.0.2.7:51234"
	return r
}

func get(tb testing.TB, target string) *http.Request {
	tb.Helper()
	return request(tb, "GET "+target+" HTTP/1.1\nHost: example.org")
}

func newMapper(tb testing.TB, cfg Config) *Mapper {
	tb.Helper()
	m, err := NewMapper(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := m.Close(); err != nil {
			tb.Error(err)
		}
	})
	return m
}

// vars returns r's variables by name and fails on a name that comes twice.
func vars(tb testing.TB, m *Mapper, r *http.Request, contentLength int64) map[string]string {
	tb.Helper()
	list, err := m.Vars(nil, r, new(m.Client(r)), contentLength)
	if err != nil {
		tb.Fatalf("Vars: %v", err)
	}
	byName := make(map[string]string, len(list))
	for _, v := range list {
		if _, twice := byName[v.Name]; twice {
			tb.Errorf("%s is emitted twice", v.Name)
		}
		byName[v.Name] = v.Value
	}
	return byName
}

// absent is what want holds for a variable that must not be there.
const absent = "\x00absent"

func wantVars(tb testing.TB, got, want map[string]string) {
	tb.Helper()
	for name, value := range want {
		v, ok := got[name]
		switch {
		case value == absent && ok:
			tb.Errorf("%s is %q, want it absent", name, v)
		case value != absent && !ok:
			tb.Errorf("%s is absent, want %q", name, value)
		case value != absent && v != value:
			tb.Errorf("%s is %q, want %q", name, v, value)
		}
	}
}

func writeFile(tb testing.TB, dir, name string, perm os.FileMode) {
	tb.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(name), perm); err != nil {
		tb.Fatal(err)
	}
}

func symlink(tb testing.TB, target, link string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		tb.Fatal(err)
	}
}

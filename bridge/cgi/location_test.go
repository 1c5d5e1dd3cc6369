package cgi

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A front may have cut off a prefix; the client must come back with it.
func TestDirectoryBelowAStrippedPrefix(t *testing.T) {
	root := phpRoot(t)
	m := newMapper(t, Config{Preset: PresetPHP, Root: root, Mount: "/m"})
	for _, test := range []struct{ asked, path, want string }{
		{"/app/m/sub?x=1", "/m/sub", "/app/m/sub/?x=1"},
		{"/%61pp/m/sub", "/m/sub", "/app/m/sub/"},
		{"/a%20b/m/sub", "/m/sub", "/a%20b/m/sub/"},
		{"//evil.example/m/sub", "/m/sub", "/evil.example/m/sub/"},
		{"/x/../app/m/sub", "/m/sub", "/app/m/sub/"},
		{"/%0d%0aX:y/m/sub", "/m/sub", "/%0D%0AX:y/m/sub/"},
		{"http://other.example/app/m/sub", "/m/sub", "/app/m/sub/"},
		{"/m/sub", "/m/sub", "/m/sub/"},
		{"/elsewhere", "/m/sub", "/m/sub/"},
		{"/%zz/m/sub", "/m/sub", "/m/sub/"},
		{"*", "/m/sub", "/m/sub/"},
	} {
		r := get(t, test.path)
		r.RequestURI = test.asked
		if u, err := url.Parse(test.asked); err == nil && u.Scheme != "" {
			r.URL.Scheme, r.URL.Host = u.Scheme, u.Host
		}
		if _, query, ok := strings.Cut(test.asked, "?"); ok {
			r.URL.RawQuery = query
		}
		if got := wantRefused(t, m, r, http.StatusMovedPermanently).Location; got != test.want {
			t.Errorf("%s as %s: Location %q, want %q", test.asked, test.path, got, test.want)
		}
	}
}

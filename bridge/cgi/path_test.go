package cgi

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/http1"
)

func TestMountAndPathInfo(t *testing.T) {
	for _, test := range []struct {
		mount, target    string
		script, pathInfo string
		status           int // of the refusal, 0 if none
	}{
		{"", "/", "", "/", 0},
		{"", "/wiki", "", "/wiki", 0},
		{"/", "/wiki", "", "/wiki", 0},
		{"/sandbox", "/sandbox", "/sandbox", "", 0},
		{"/sandbox", "/sandbox/", "/sandbox", "/", 0},
		{"/sandbox", "/sandbox/wiki/Start", "/sandbox", "/wiki/Start", 0},
		{"/sandbox/", "/sandbox/wiki", "/sandbox", "/wiki", 0},
		{"/a/b", "/a/b/c", "/a/b", "/c", 0},
		{"/sandbox", "/sandboxes", "", "", 404},
		{"/sandbox", "/Sandbox/x", "", "", 404},
		{"/sandbox", "/", "", "", 404},
		{"/sandbox", "//sandbox/x", "", "", 404},

		// Decoded once.
		{"", "/a%2Fb", "", "/a/b", 0},
		{"", "/a%252Fb", "", "/a%2Fb", 0},
		{"", "/%25", "", "/%", 0},
		{"", "/%2541", "", "/%41", 0},
		{"", "/a+b", "", "/a+b", 0},
		{"", "/%FF%FE", "", "/\xff\xfe", 0},
		{"", "/a%3Fb%23c", "", "/a?b#c", 0},
		{"/a b", "/a%20b/c", "/a b", "/c", 0},

		// Left alone: no dot segments in them.
		{"", "/a//b/", "", "/a//b/", 0},
		{"", "/http://example.org/", "", "/http://example.org/", 0},
		{"", "/a./.b/..c/...", "", "/a./.b/..c/...", 0},
		{"/sandbox", "/sandbox//x", "/sandbox", "//x", 0},

		// Dot segments.
		{"", "/.", "", "/", 0},
		{"", "/a/.", "", "/a/", 0},
		{"", "/a/b/..", "", "/a/", 0},
		{"", "/a/../", "", "/", 0},
		{"", "/a/./b", "", "/a/b", 0},
		{"", "/a//../b", "", "/b", 0},
		{"", "/a/%2e%2E/b", "", "/b", 0},
		{"", "/a%2f..%2fb", "", "/b", 0},
		{"", "/a/%252e%252e/b", "", "/a/%2e%2e/b", 0},
		{"/sandbox", "/sandbox/a/../b", "/sandbox", "/b", 0},
		{"/sandbox", "/sandbox/..", "", "", 404},
		{"/sandbox", "/sandbox/../admin", "", "", 404},
		{"/sandbox", "/admin/../sandbox/x", "/sandbox", "/x", 0},
		{"", "/..", "", "", 400},
		{"", "/a/../../a", "", "", 400},
		{"", "/%2e%2e/etc/passwd", "", "", 400},

		{"", "/a%00", "", "", 400},
		{"", "/a%0a", "", "", 400},
		{"", "/a%0d%0aX:", "", "", 400},
	} {
		m := newMapper(t, Config{Mount: test.mount})
		r := get(t, test.target)
		if test.status != 0 {
			wantRefused(t, m, r, test.status)
			continue
		}
		wantVars(t, vars(t, m, r, 0), map[string]string{"SCRIPT_NAME": test.script, "PATH_INFO": test.pathInfo})
	}
}

func TestPathsWithoutASlashAreRefused(t *testing.T) {
	m := newMapper(t, Config{})
	for _, p := range []string{"*", "a", "..", "http://example.org/"} {
		wantRefused(t, m, &http.Request{Method: http.MethodOptions, URL: &url.URL{Path: p}}, http.StatusBadRequest)
	}
	wantRefused(t, m, &http.Request{Method: http.MethodConnect, URL: &url.URL{}}, http.StatusMethodNotAllowed)
}

// HTTP/2 can carry what a request line cannot.
func TestWhatNoRequestLineHas(t *testing.T) {
	m := newMapper(t, Config{})
	for method, target := range map[string]string{"GET": "/a b", "GE T": "/a", "GET\"": "/", "G\xc3": "/", "POST": "/?a b"} {
		r := get(t, strings.ReplaceAll(target, " ", "%20"))
		r.Method, r.RequestURI, r.Proto = method, target, "HTTP/2.0"
		wantRefused(t, m, r, http.StatusBadRequest)
		if err := m.HTTP(new(http1.Request), r, &Client{}, 0); err == nil {
			t.Errorf("%q %q is passed on in HTTP", method, target)
		}
	}
}

func wantRefused(t *testing.T, m *Mapper, r *http.Request, status int) *RequestError {
	t.Helper()
	list, err := m.Vars(nil, r, new(m.Client(r)), 0)
	refused, ok := errors.AsType[*RequestError](err)
	if !ok || refused.Status != status || list != nil {
		t.Errorf("%q: got %v and %d variables, want status %d", r.URL.Path, err, len(list), status)
		return &RequestError{}
	}
	return refused
}

func TestErrorTexts(t *testing.T) {
	m := newMapper(t, Config{Mount: "/app"})
	_, err := m.Vars(nil, get(t, "/other%22x"), &Client{}, 0)
	if want := `cgi: request refused with 404: path "/other\"x" is outside the mount "/app"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = ParseResponse([]byte("A: b\nwarning\n\n"), http.Header{})
	if want := `cgi: response header, line 2: "warning" has no colon (did the application print something before its header?)`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = ParseResponse([]byte("A: b\n"), http.Header{})
	if want := `cgi: response header: no empty line at its end`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

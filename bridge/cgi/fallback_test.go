package cgi

import (
	"errors"
	"net/http"
	"testing"
)

// Where nothing is, the front controller answers; what is there and may not be served
// stays out of reach.
func TestFallback(t *testing.T) {
	root := phpRoot(t)
	m := newMapper(t, Config{Preset: PresetPHP, Root: root, Mount: "/wiki", Fallback: "/doku.php", Hide: []string{"/wiki/upload"}})
	for _, target := range []string{"/wiki/page", "/wiki/page/below", "/wiki/missing.php", "/wiki/missing.php/x", "/wiki/noindex/", "/wiki/.nothing"} {
		wantVars(t, vars(t, m, get(t, target+"?a=b"), 0), map[string]string{
			"SCRIPT_NAME": "/wiki/doku.php", "SCRIPT_FILENAME": root + "/doku.php", "PATH_INFO": absent,
			"REQUEST_URI": target + "?a=b", "QUERY_STRING": "a=b",
		})
	}
	wantVars(t, vars(t, m, get(t, "/wiki/sub/"), 0), map[string]string{"SCRIPT_NAME": "/wiki/sub/index.php"})
	for _, target := range []string{"/elsewhere", "/wiki/upload/nothing", "/wiki/.htaccess", "/wiki/.git/config", "/wiki/style.css", "/wiki/lib.phtml"} {
		r := get(t, target)
		_, err := m.Vars(nil, r, new(m.Client(r)), 0)
		if refused, ok := errors.AsType[*RequestError](err); !ok || refused.Status != http.StatusNotFound && refused.Status != http.StatusForbidden {
			t.Errorf("%s: %v", target, err)
		}
	}
	for target, want := range map[string]bool{"/wiki/style.css": true, "/wiki/page": false, "/wiki/.htaccess": false} {
		if _, ok := m.StaticFile(get(t, target)); ok != want {
			t.Errorf("%s is a static file: %v, want %v", target, ok, want)
		}
	}
}

// A site without its front controller is as one that has none.
func TestFallbackIsMissing(t *testing.T) {
	m := newMapper(t, Config{Preset: PresetPHP, Root: phpRoot(t), Fallback: "/front.php"})
	r := get(t, "/page")
	_, err := m.Vars(nil, r, new(m.Client(r)), 0)
	if refused, ok := errors.AsType[*RequestError](err); !ok || refused.Status != http.StatusNotFound {
		t.Errorf("%v, want 404", err)
	}
}

func TestFallbackErrors(t *testing.T) {
	for want, cfg := range map[string]Config{
		`cgi: fallback: preset "app" has no files (remove it, or use preset "php")`: {Fallback: "/index.php"},
		`cgi: fallback "index.php": must be a script's path like "/index.php"`:      {Preset: PresetPHP, Root: "/", Fallback: "index.php"},
		`cgi: fallback "/../index.php": must be a script's path like "/index.php"`:  {Preset: PresetPHP, Root: "/", Fallback: "/../index.php"},
		`cgi: fallback "/index.html": must end in .php, nothing else is run`:        {Preset: PresetPHP, Root: "/", Fallback: "/index.html"},
	} {
		if _, err := NewMapper(cfg); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// What a variable becomes may come from the client.
func TestExpand(t *testing.T) {
	m := newMapper(t, Config{
		Env: map[string]string{"SITE": "{host}", "PHP_VALUE": "a=1\nb=2"},
		Expand: func(r *http.Request, value string) string {
			if value == "{host}" {
				return r.Header.Get("X-Site")
			}
			return value
		},
	})
	r := get(t, "/")
	r.Header.Set("X-Site", "a")
	wantVars(t, vars(t, m, r, 0), map[string]string{"SITE": "a", "PHP_VALUE": "a=1\nb=2"})
	r.Header.Set("X-Site", "a\nb")
	_, err := m.Vars(nil, r, new(m.Client(r)), 0)
	if refused, ok := errors.AsType[*RequestError](err); !ok || refused.Status != http.StatusBadRequest {
		t.Errorf("%v, want 400", err)
	}
}

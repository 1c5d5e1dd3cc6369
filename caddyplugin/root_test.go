package caddyplugin

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// What a client puts in the place of a placeholder is a directory's name, or nothing.
func TestRootOf(t *testing.T) {
	repl := caddy.NewReplacer()
	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl))
	for _, c := range []struct{ root, value, want string }{
		{"/srv/{http.x}/www", "a.example", "/srv/a.example/www"},
		{"/home/u/.sites/{http.x}", "a", "/home/u/.sites/a"},
		{"/srv/{http.x}", "", ""},
		{"/srv/{http.x}", "..", ""},
		{"/srv/{http.x}", ".", ""},
		{"/srv/{http.x}", ".git", ""},
		{"/srv/{http.x}", "a/b", ""},
		{"/srv/{http.x}", "/etc", ""},
		{"/srv/{http.x}", `a\b`, ""},
		{"/srv/{http.x}", "a\x00", ""},
		{"/srv/{http.x}/{http.x}", "a", "/srv/a/a"},
		{"{http.x}", "/srv/a/", "/srv/a"},
		{"{http.x}", "/srv/../etc", ""},
		{"{http.x}", "/srv/a/..", ""},
		{"{http.x}", "/srv/.git", ""},
		{"{http.x}", "../etc", ""},
		{"{http.x}", "", ""},
	} {
		repl.Set("http.x", c.value)
		got, err := rootOf(c.root)(r)
		if refused, ok := errors.AsType[*cgi.RequestError](err); got != c.want || c.want == "" && (!ok || refused.Status != 404) {
			t.Errorf("%s with %q: %q, %v, want %q", c.root, c.value, got, err, c.want)
		}
	}
	if dir, err := rootOf("/srv/{http.x}")(httptest.NewRequest("GET", "/", nil)); err == nil {
		t.Errorf("%s without a placeholder's value", dir)
	}
}

func TestResolveRoot(t *testing.T) {
	t.Setenv("SITES", "/srv/sites")
	for root, want := range map[string]string{
		"{env.SITES}/{http.request.host}": "/srv/sites/{http.request.host}", "/srv": "/srv", "": "", "/srv/{http.vars.root}/{http.request.host}": "/srv/{http.vars.root}/{http.request.host}",
	} {
		if got, err := resolveRoot(root, caddy.NewReplacer()); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", root, got, err, want)
		}
	}
	for _, root := range []string{"/srv/{no.such}", "/srv/{http.request.host}/{no.such}", "/srv/{http.request.host"} {
		if got, err := resolveRoot(root, caddy.NewReplacer()); err == nil || !strings.HasPrefix(err.Error(), "root: unrecognized placeholder {") {
			t.Errorf("%s: %q, %v", root, got, err)
		}
	}
}

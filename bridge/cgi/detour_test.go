package cgi

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// refusal returns the answer that a Mapper gives itself.
func refusal(tb testing.TB, m *Mapper, r *http.Request) *RequestError {
	tb.Helper()
	_, err := m.Vars(nil, r, new(m.Client(r)), 0)
	refused, ok := errors.AsType[*RequestError](err)
	if !ok {
		tb.Fatalf("%s %s: %v, want a refusal", r.Host, r.RequestURI, err)
	}
	return refused
}

func TestRedirects(t *testing.T) {
	m := newMapper(t, Config{Hide: []string{"/data"}, Redirect: []string{
		"/old /new 301",
		"/old/* /new/* 308",
		"/blog/* https://blog.example.org/*",
		"/find/*/in/* /search?what=*&where=*",
		"/bare/* /b/*? 307",
		"/part /page#part",
		"/a%20b /c%20d",
		"/fix* /*",
		"//www.example.org/* https://example.org/* 301",
	}})
	for _, c := range []struct {
		host, target string
		status       int
		location     string
	}{
		{"example.org", "/old", 301, "/new"},
		{"example.org", "/old?a=b&c", 301, "/new?a=b&c"},
		{"example.org", "/old/x/y?a", 308, "/new/x/y?a"},
		{"example.org", "/x/../old", 301, "/new"},
		{"example.org", "/blog/2006/a%20b", 302, "https://blog.example.org/2006/a%20b"},
		{"example.org", "/blog/%0d%0aX:y", 400, ""},
		{"example.org", "/blog/%3Fa%23b", 302, "https://blog.example.org/%3Fa%23b"},
		{"example.org", "/find/a%26b/in/c/d?e", 302, "/search?what=a%26b&where=c%2Fd&e"},
		{"example.org", "/bare/x?secret", 307, "/b/x"},
		{"example.org", "/part?a", 302, "/page?a#part"},
		{"example.org", "/a%20b", 302, "/c%20d"},
		{"example.org", "/fix//evil.example/", 302, "/evil.example/"},
		{"example.org", "/fix/%5Cevil.example/", 302, "/%5Cevil.example/"},
		{"WWW.example.org:8080", "/x?y", 301, "https://example.org/x?y"},
		{"www.example.org.", "/", 301, "https://example.org/"},
		{"example.org", "/data", 404, ""},
	} {
		r := request(t, "GET "+c.target+" HTTP/1.1\nHost: "+c.host)
		if got := refusal(t, m, r); got.Status != c.status || got.Location != c.location {
			t.Errorf("%s%s is answered %d %q, want %d %q", c.host, c.target, got.Status, got.Location, c.status, c.location)
		}
		if f, err := m.OpenStatic(r); f != nil || err != nil {
			t.Errorf("%s is a file: %v, %v", c.target, f, err)
		}
	}
	for _, target := range []string{"/", "/older", "/blog", "/find/a/b/in/c"} {
		wantVars(t, vars(t, m, get(t, target), 0), map[string]string{"PATH_INFO": target})
	}
}

func TestRewrites(t *testing.T) {
	root := phpRoot(t)
	m := newMapper(t, Config{Preset: PresetPHP, Root: root, Hide: []string{"/upload"}, Rewrite: []string{
		"/wiki/* /index.php?title=*",
		"/info/* /sub/index.php/*",
		"/_export/*/* /doku.php?do=export_*&id=*",
		"/css /style.css",
		"/out/* /*",
	}})
	for target, want := range map[string]map[string]string{
		"/wiki/A%20%26%20B?action=raw": {"SCRIPT_NAME": "/index.php", "QUERY_STRING": "title=A+%26+B&action=raw", "PATH_INFO": absent, "REQUEST_URI": "/wiki/A%20%26%20B?action=raw", "SCRIPT_FILENAME": root + "/index.php"},
		"/wiki/":                       {"SCRIPT_NAME": "/index.php", "QUERY_STRING": "title="},
		"/info/x/y?z":                  {"SCRIPT_NAME": "/sub/index.php", "QUERY_STRING": "z", "PATH_INFO": "/x/y"},
		"/_export/raw/a/b":             {"SCRIPT_NAME": "/doku.php", "QUERY_STRING": "do=export_raw&id=a%2Fb"},
		"/out/index.php":               {"SCRIPT_NAME": "/index.php", "QUERY_STRING": ""},
	} {
		wantVars(t, vars(t, m, get(t, target), 0), want)
	}
	if name, ok := m.StaticFile(get(t, "/css")); !ok || name != "style.css" {
		t.Errorf("a rewritten path leads to the file %q, %v", name, ok)
	}
	// What is out of reach stays so.
	for _, target := range []string{"/out/upload/x.php", "/out/.htaccess", "/out/.git/config", "/out/lib.phtml", "/wiki", "/nothing"} {
		if got := refusal(t, m, get(t, target)); got.Status != 404 && got.Status != 403 {
			t.Errorf("%s is answered %d", target, got.Status)
		}
	}
	if got := m.OtherPaths(get(t, "/wiki/x")); !slices.Equal(got, []string{"/index.php"}) {
		t.Errorf("/wiki/x leads to %q", got)
	}
}

// An application that speaks HTTP is asked for what a path was rewritten to.
func TestRewriteHTTP(t *testing.T) {
	cfg := Config{Mount: "/app", Rewrite: []string{"/app/p/* /app/page?name=*"}}
	for target, want := range map[string]string{"/app/p/a%20b?c": "/app/page?name=a+b&c", "/app/x?y": "/app/x?y"} {
		if got := message(t, cfg, get(t, target), nil); !strings.HasPrefix(got, "GET "+want+" example.org\n") {
			t.Errorf("%s is asked for as %s, want %s", target, got, want)
		}
	}
}

// An authorizer is asked about the path that a client wants, and about the one that it gets.
func TestRewriteGuarded(t *testing.T) {
	m := newMapper(t, Config{Rewrite: []string{"/public/* /secret/*", "/secret2 /open"}})
	g, err := NewGuard("", []string{"/secret", "/secret2"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]bool{"/public/x": true, "/secret2": true, "/secret/x": true, "/open": false, "/public": false} {
		if got := m.Guarded(&g, get(t, target)); got != want {
			t.Errorf("%s is guarded: %v, want %v", target, got, want)
		}
	}
}

func TestFallbackWithPath(t *testing.T) {
	root := phpRoot(t)
	for fallback, want := range map[string]map[string]string{
		"/index.php/*":           {"SCRIPT_NAME": "/index.php", "PATH_INFO": "/a b/c", "QUERY_STRING": "x=y"},
		"/doku.php?id=*":         {"SCRIPT_NAME": "/doku.php", "PATH_INFO": absent, "QUERY_STRING": "id=a+b%2Fc&x=y"},
		"/sub/index.php/*?do=it": {"SCRIPT_NAME": "/sub/index.php", "PATH_INFO": "/a b/c", "QUERY_STRING": "do=it&x=y"},
	} {
		m := newMapper(t, Config{Preset: PresetPHP, Root: root, Fallback: fallback})
		got := vars(t, m, get(t, "/a%20b/c?x=y"), 0)
		wantVars(t, got, want)
		if got["REQUEST_URI"] != "/a%20b/c?x=y" {
			t.Errorf("REQUEST_URI is %q", got["REQUEST_URI"])
		}
	}
}

// Only the scripts that are listed are run; the fallback answers for the others.
func TestScripts(t *testing.T) {
	root := phpRoot(t)
	m := newMapper(t, Config{Preset: PresetPHP, Root: root, Scripts: []string{"/index.php", "/sub/*.php"}})
	for _, target := range []string{"/index.php/x", "/sub/index.php", "/sub/", "/"} {
		vars(t, m, get(t, target), 0)
	}
	if got := refusal(t, m, get(t, "/doku.php")); got.Status != 404 {
		t.Errorf("a script that is not listed: %d", got.Status)
	}
	m = newMapper(t, Config{Preset: PresetPHP, Root: root, Scripts: []string{"/index.php"}, Fallback: "/index.php/*"})
	wantVars(t, vars(t, m, get(t, "/doku.php/x"), 0), map[string]string{"SCRIPT_NAME": "/index.php", "PATH_INFO": "/doku.php/x"})
}

func TestDetourErrors(t *testing.T) {
	redirect := func(list ...string) Config { return Config{Redirect: list} }
	rewrite := func(list ...string) Config { return Config{Rewrite: list} }
	for want, cfg := range map[string]Config{
		`redirect "/a": want FROM TO`:                               redirect("/a"),
		`redirect "/a /b 200": the status is 301 or 308`:            redirect("/a /b 200"),
		`redirect "a /b": "a": want a path that begins with "/"`:    redirect("a /b"),
		`redirect "/a?b /c": "/a?b": paths are compared without`:    redirect("/a?b /c"),
		`redirect "/a ftp://b/": "ftp://b/": want a path, or a URL`: redirect("/a ftp://b/"),
		`redirect "/a/* https://*/": "https://*/": want a path`:     redirect("/a/* https://*/"),
		`redirect "/a //b/c": "//b/c": want a path, or a URL`:       redirect("/a //b/c"),
		`redirect "/a /b*": leads to 1 "*", and comes from 0`:       redirect("/a /b*"),
		`redirect "/a** /b": has "**"`:                              redirect("/a** /b"),
		`redirect "/*/*/*/*/* /b": has 5 "*"`:                       redirect("/*/*/*/*/* /b"),
		`redirect "//h:80/* /b": "//h:80/*": want a host`:           redirect("//h:80/* /b"),
		`redirect "/a /a": leads clients round in a circle`:         redirect("/a /a"),
		`redirect "/a/* /b/*": leads clients round in a circle`:     redirect("/a/* /b/*", "/b/* /a/*"),
		`redirect "/* /x/*": has no end`:                            redirect("/* /x/*"),
		`redirect "//a.example/* https://A.example/*": leads`:       redirect("//a.example/* https://A.example/*"),
		`redirect "/a/b /c": can match nothing, "/a/* /d" before`:   redirect("/a/* /d", "/a/b /c"),
		`redirect "/a/%zz /c": "/a/%zz": invalid URL escape`:        redirect("/a/%zz /c"),
		`rewrite "/a": want FROM TO`:                                rewrite("/a"),
		`rewrite "/a https://b/": leads to a URL`:                   rewrite("/a https://b/"),
		`rewrite "/a /b#c": the part behind "#"`:                    rewrite("/a /b#c"),
		`rewrite "/a /b": can match nothing, "/a /c" before`:        rewrite("/a /c", "/a /b"),
		`rewrite "/a /../b": "/../b": no path that is compared`:     rewrite("/a /../b"),
		`rewrite "/a/b /b": can match nothing, "/a/* /c" before`:    {Redirect: []string{"/a/* /c"}, Rewrite: []string{"/a/b /b"}},
		`rewrite "/a /b": leads out of the mount "/wiki"`:           {Mount: "/wiki", Rewrite: []string{"/a /b"}},
		`rewrite "/a /b": leads to what hide has out of reach`:      {Hide: []string{"/b"}, Rewrite: []string{"/a /b"}},
		`scripts "index.php": want a script's path`:                 {Preset: PresetPHP, Root: "/", Scripts: []string{"index.php"}},
		`scripts: preset "app" has no files`:                        {Scripts: []string{"/index.php"}},
		`fallback "/index.php": can answer nothing, it is not in`:   {Preset: PresetPHP, Root: "/", Scripts: []string{"/x.php"}, Fallback: "/index.php"},
		`fallback "/a.php?": want a query behind "?"`:               {Preset: PresetPHP, Root: "/", Fallback: "/a.php?"},
		`fallback "/a*.php": must be a script's path`:               {Preset: PresetPHP, Root: "/", Fallback: "/a*.php"},
	} {
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), "cgi: "+want) {
			t.Errorf("%v, want cgi: %s", err, want)
		}
	}
	for _, ok := range []Config{
		redirect("//www.example.org/* https://example.org/*", "/old/* https://www.example.org/old/*"),
		redirect("//c.example/a /d", "/a /b"),
		redirect("/a/*/b /c", "/a/*/d /c"),
	} {
		if err := ok.Validate(); err != nil {
			t.Error(err)
		}
	}
	if err := redirect("/* https://example.org/*").CheckRedirects("Example.org"); err == nil {
		t.Error("a redirect of a host to itself is accepted")
	}
	if err := redirect("/* https://example.org/*").CheckRedirects("www.example.org"); err != nil {
		t.Error(err)
	}
}

package cgi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A hidden path is as one that leads nowhere, whatever way it is written.
func TestHide(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"index.php", "data/secret.php", "data/x.png", "database.php"} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("<?php"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, preset := range []string{PresetApp, PresetPHP, PresetCGI} {
		m, err := NewMapper(Config{Preset: preset, Root: root, Hide: []string{"/data/"}})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		for target, hidden := range map[string]bool{
			"/data": true, "/data/": true, "/data/secret.php": true, "/data/x.png": true, "//data/secret.php": true,
			"/x/../data/secret.php": true, "/data//secret.php/info": true, "/d%61ta/secret.php": true,
			"/x/%2e%2e/data/secret.php": true, "/./data/secret.php": true,
			"/database.php": false, "/index.php": false,
		} {
			r := httptest.NewRequest(http.MethodGet, target, nil)
			_, err := m.Vars(nil, r, new(m.Client(r)), 0)
			var refused *RequestError
			if got := errors.As(err, &refused) && refused.Status == http.StatusNotFound; got != hidden {
				t.Errorf("%s %s: %v, hidden should be %v", preset, target, err, hidden)
			}
			if name, ok := m.StaticFile(r); hidden && ok {
				t.Errorf("%s %s: may be sent as %s", preset, target, name)
			}
		}
	}
}

// With a mount, a path to hide may be written whole, or as it is below the mount.
func TestHideBelowTheMount(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"index.php", "data/pages/s.html", "data/x.php", "wiki/y.php", "conf/a.png"} {
		writeFile(t, root, name, 0o755)
	}
	for _, preset := range []string{PresetApp, PresetPHP, PresetCGI} {
		m := newMapper(t, Config{Preset: preset, Root: root, Mount: "/wiki", Hide: []string{"/data", "/wiki/conf"}})
		for target, hidden := range map[string]bool{
			"/wiki/data": true, "/wiki/data/": true, "/wiki/data/pages/s.html": true, "/wiki/data/x.php": true, "/wiki/conf/a.png": true,
			"/wiki//data/x.php": true, "/wiki/./data/x.php": true, "/wiki/x/../data/x.php": true, "/wiki/%64ata/x.php": true, "/wiki/data;a=b/x.php": true, "/wiki;a/conf/a.png": true, "/wiki/x/..;/conf/a.png": true, "/wiki/;/conf/a.png": true,
			"/data": true, "/data/x.php": true, "/wiki/index.php": false, "/wiki/database": false, "/wiki/wiki/y.php": false,
		} {
			_, err := m.Vars(nil, get(t, target), &Client{}, 0)
			refused, ok := errors.AsType[*RequestError](err)
			if got := ok && strings.HasSuffix(refused.Reason, "is hidden"); got != hidden {
				t.Errorf("%s %s: %v, hidden should be %v", preset, target, err, hidden)
			}
			if name, ok := m.StaticFile(get(t, target)); hidden && ok {
				t.Errorf("%s %s: may be sent as %s", preset, target, name)
			}
		}
	}
}

// What is hidden does not answer for its directory either.
func TestHiddenIndex(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"index.php", "sub/index.php", "sub/index.html", "other/index.php"} {
		writeFile(t, root, name, 0o644)
	}
	m := newMapper(t, Config{Preset: PresetPHP, Root: root, Mount: "/m", Index: []string{"index.php", "index.html"}, Hide: []string{"/sub/index.php", "/m/other/index.php"}})
	if name, ok := m.StaticFile(get(t, "/m/sub/")); !ok || name != "sub/index.html" {
		t.Errorf("/m/sub/: %q, %v, want the next index", name, ok)
	}
	wantRefused(t, m, get(t, "/m/other/"), http.StatusNotFound)
	wantVars(t, vars(t, m, get(t, "/m/"), 0), map[string]string{"SCRIPT_NAME": "/m/index.php"})
}

// Nor in a directory outside the root.
func TestHiddenIndexElsewhere(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"index.html", "sub/index.html", "sub/index.htm"} {
		writeFile(t, dir, name, 0o644)
	}
	m := newMapper(t, Config{StaticDirs: []string{"/files=" + dir}, Index: []string{"index.html", "index.htm"}, Hide: []string{"/files/index.html", "/files/sub/index.html"}})
	if f, err := m.OpenStatic(get(t, "/files/")); f != nil || err != nil {
		t.Errorf("/files/ is answered by a file that is hidden: %v, %v", f, err)
	}
	wantVars(t, vars(t, m, get(t, "/files"), 0), map[string]string{"PATH_INFO": "/files"})
	f, err := m.OpenStatic(get(t, "/files/sub/"))
	if err != nil || f == nil {
		t.Fatalf("/files/sub/: %v, want the next index", err)
	}
	defer f.Close()
	if name := filepath.Base(f.Name()); name != "index.htm" {
		t.Errorf("/files/sub/ is answered by %s, want the next index", name)
	}
}

func TestHides(t *testing.T) {
	for file, want := range map[string]bool{"/index.php": true, "/sub/index.php": true, "/other.php": false} {
		cfg := Config{Preset: PresetPHP, Root: "/", Mount: "/m", Hide: []string{"/index.php", "/m/sub"}}
		if got := cfg.Hides(file); got != want {
			t.Errorf("%s is hidden: %v, want %v", file, got, want)
		}
	}
}

func TestHideRefuses(t *testing.T) {
	for _, p := range []string{"data", "", "/", "/."} {
		if m, err := NewMapper(Config{Hide: []string{p}}); err == nil {
			m.Close()
			t.Errorf("hide %q was taken", p)
		}
	}
}

// A star stands for one name, whatever it is, and for nothing else.
func TestPrefixesOfAnyName(t *testing.T) {
	p, err := NewPrefixes("path", "/trac", []string{"/*/login", "/a/*/*/z/"})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"/one/login": true, "/two/login/": true, "/one/login/x": true, "/one/login;a=b": true, "//one//login": true, "/one/./login": true, "/o;x/login": true, "/one;x=y/login/z": true, "/x/y/..;/..;a/one/login": true, "/one/login;/": true,
		"/trac/one/login": true, "/trac/login": true, "/a/b/c/z": true, "/a/b/c/z/d": true,
		"/login": false, "/one/two/login": false, "/one/logins": false, "/one": false, "/": false, "/one/x/../../login": false, "/a/b/z": false, "/a/b/c/d/z": false, "/trac/one/two/login": false,
	} {
		if p.Has(path) != want || p.Protects(path) != want {
			t.Errorf("%s: %v, %v, want %v", path, p.Has(path), p.Protects(path), want)
		}
	}
	if !p.Protects("/trac.fcgi/one/login") || !p.Protects("/x/index.php/one/login") {
		t.Error("below a script it is not protected")
	}
	for _, text := range []string{"/a*", "/*b/c", "/a/*", "/*", "/**/x", "/a?b"} {
		if _, err := NewPrefixes("path", "", []string{text}); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}

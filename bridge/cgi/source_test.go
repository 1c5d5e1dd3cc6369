package cgi

import (
	"net/http"
	"strings"
	"testing"
)

// What editors, tools and people leave beside scripts is neither run nor sent.
func TestSourcesAreNotSent(t *testing.T) {
	root := t.TempDir()
	for _, test := range []struct {
		name   string
		status int  // with preset php
		sent   bool // with preset php
		cgi    bool // sent with preset cgi
	}{
		{"x.php~", 404, false, false},
		{"x.php.bak", 404, false, false},
		{"x.php.swp", 404, false, false},
		{"x.php.orig", 404, false, false},
		{"x.php.save", 404, false, false},
		{"x.php.old", 404, false, false},
		{"x.php.1", 404, false, false},
		{"x.php.dpkg-dist", 404, false, false},
		{"x.php-dist", 404, false, false},
		{"x.php_old", 404, false, false},
		{"x.php ", 404, false, false},
		{"x.php.txt", 404, false, false},
		{"x.PHP.BAK", 404, false, false},
		{"x.inc.old", 404, false, false},
		{"#x.php#", 404, false, false},
		{"config.bak", 404, false, false},
		{"notes~", 404, false, false},
		{"x.php5", 403, false, false},
		{"x.phps", 403, false, false},
		{"x.phtml", 403, false, false},
		{"x.inc", 403, false, false},
		{".x.php.swp", 404, false, false},
		{".htpasswd", 404, false, false},
		{".htaccess.css", 404, false, false},
		{"index.php.html", 404, true, true},
		{"style.php.css", 404, true, true},
		{"phpinfo.png", 404, true, true},
		{"class.phpmailer.min.js", 404, true, true},
		{"archive.tar.gz", 404, true, true},
		{"x.cgi", 404, true, false},
		{"x.pl.bak", 404, false, false},
		{"x.py.1", 404, true, false},
		{"README", 404, true, true},
	} {
		writeFile(t, root, test.name, 0o644)
		target := "/" + strings.NewReplacer("#", "%23", " ", "%20").Replace(test.name)
		m := newMapper(t, Config{Preset: PresetPHP, Root: root, Static: StaticAll})
		wantRefused(t, m, get(t, target), test.status)
		if name, sent := m.StaticFile(get(t, target)); sent != test.sent || sent && name != test.name {
			t.Errorf("php: %s is sent: %v (%q), want %v", test.name, sent, name, test.sent)
		}
		m = newMapper(t, Config{Preset: PresetCGI, Root: root, Static: StaticAll})
		if _, sent := m.StaticFile(get(t, target)); sent != test.cgi {
			t.Errorf("cgi: %s is sent: %v, want %v", test.name, sent, test.cgi)
		}
	}
}

// What is in a directory that begins with a dot, or does so itself, is not run.
func TestDotScripts(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{".git/x.php", ".git/index.php", ".x.php", "sub/.svn/y.php", ".well-known/acme.php", "a.b/c.php", "..x/y.php", "sub/.well-known/z.php"} {
		writeFile(t, root, name, 0o755)
	}
	for _, preset := range []string{PresetPHP, PresetCGI} {
		m := newMapper(t, Config{Preset: preset, Root: root, Index: []string{"index.php"}})
		for target, script := range map[string]string{
			"/.well-known/acme.php/x": "/.well-known/acme.php", "/a.b/c.php/.git/x": "/a.b/c.php",
		} {
			wantVars(t, vars(t, m, get(t, target), 0), map[string]string{"SCRIPT_NAME": script})
		}
		for _, target := range []string{
			"/.git/x.php", "/.git/x.php/info", "/.git/", "/.git", "//.git//x.php", "/%2egit/x.php", "/sub/../.git/x.php",
			"/.x.php", "/sub/.svn/y.php", "/..x/y.php", "/sub/.well-known/z.php",
		} {
			wantRefused(t, m, get(t, target), http.StatusNotFound)
			if name, sent := m.StaticFile(get(t, target)); sent {
				t.Errorf("%s is sent as %q", target, name)
			}
		}
	}
	// A front controller does not answer in their place either.
	writeFile(t, root, "front.php", 0o755)
	m := newMapper(t, Config{Preset: PresetPHP, Root: root, Fallback: "/front.php"})
	for _, target := range []string{"/.git/x.php", "/.git/", "/.x.php"} {
		wantRefused(t, m, get(t, target), http.StatusNotFound)
	}
}

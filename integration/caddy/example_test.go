//go:build linux

package caddy

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The example is as `caddy fmt` would have it, and each of its sites serves.
func TestExample(t *testing.T) {
	text, err := os.ReadFile("../../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	if formatted := caddyfile.Format(text); !bytes.Equal(formatted, text) {
		t.Errorf("caddy fmt makes it\n%s", formatted)
	}
	root := t.TempDir()
	write(t, filepath.Join(root, "index.php"), "<?php echo 'PHP ', $_SERVER['REQUEST_URI'];")
	write(t, filepath.Join(root, "style.css"), "a{}")
	trac, chat, first, second := startApp(t, echo), startApp(t, echo), startApp(t, echo), startApp(t, echo)
	s := start(t, "respond up")
	sites := map[string]string{}
	var names []string
	for _, site := range []string{"trac", "php", "chat", "app", "balanced"} {
		sites[site] = "http://" + freeAddress(t)
		names = append(names, site+".example.org", sites[site])
	}
	here := strings.NewReplacer(append(names,
		"unix//run/trac.sock", trac.addr, "unix//run/php/php-fpm.sock", startFPM(t, 2), "127.0.0.1:9000", chat.addr,
		"unix//run/app-1.sock", first.addr, "unix//run/app-2.sock", second.addr, "unix//run/app-3.sock", "unix//nowhere.sock",
		"/srv/www", root)...)
	if err := s.tryText(s.global() + here.Replace(string(text))); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ site, path, want string }{
		{"trac", "/wiki", "GET /wiki "},
		{"php", "/style.css", "a{}"},
		{"php", "/a/page", "PHP /a/page"},
		{"chat", "/events", "GET /events "},
		{"app", "/app/x", "GET /app/x "},
		{"app", "/", "See /app"},
		{"balanced", "/x", "GET /x "},
	} {
		s.url = sites[c.site]
		s.want(s.get(c.path), 200, c.want)
	}
}

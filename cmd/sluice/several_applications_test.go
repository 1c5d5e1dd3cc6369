package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/page"
)

// fileServer is a server with a configuration file of that text.
func fileServer(t testing.TB, text string) (s *server, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sluice.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s = newServer(&accessLog{}, &errorLog{log: slog.New(slog.DiscardHandler)}, nil)
	c, err := loadFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.load = func() (*setup, error) { return loadFile(path, s.pace.pause) }
	t.Cleanup(s.close)
	if err := s.begin(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return s, path
}

const twoApplications = `
[[application]]
name = "wiki"
backends = ["unix:/run/wiki.sock"]
[[application]]
name = "blog"
backends = ["unix:/run/blog.sock"]
workers = 9
[[application]]
name = "shelf"
backends = ["unix:/run/shelf.sock"]
[[site]]
hosts = ["wiki"]
application = "wiki"
[[site]]
application = "blog"
`

// The status listener has all applications of a file, by their names, before and after a reload.
func TestStatusOfSeveral(t *testing.T) {
	of, path := fileServer(t, twoApplications)
	s := statusServer(t, of, nil)
	check := func(wants ...string) {
		t.Helper()
		var all struct {
			Applications []struct {
				Name string
				Gate struct{ Workers int }
			}
			Front *struct{}
		}
		if err := json.Unmarshal(ask(s, "GET", "/status.json").Body.Bytes(), &all); err != nil || all.Front == nil {
			t.Fatal(err)
		}
		var names []string
		for _, a := range all.Applications {
			names = append(names, a.Name)
		}
		if !slices.Equal(names, wants) {
			t.Errorf("applications: %q, want %q", names, wants)
		}
		metrics := ask(s, "GET", "/metrics").Body.String()
		for _, name := range wants {
			if !strings.Contains(metrics, `sluice_gate_workers{application="`+name+`"}`) {
				t.Errorf("there are no metrics of %s", name)
			}
			if !slices.ContainsFunc(of.pageApplications(), func(a page.Named) bool { return a.Name == name }) {
				t.Errorf("the page has no %s", name)
			}
		}
		if strings.Contains(metrics, "shelf") || slices.ContainsFunc(of.pageApplications(), func(a page.Named) bool { return a.Name == "shelf" }) {
			t.Error("an application that no site uses is shown")
		}
	}
	check("wiki", "blog")
	if w := ask(s, "GET", "/status.json?application=blog"); !strings.Contains(w.Body.String(), `"workers": 9`) || strings.Contains(w.Body.String(), "applications") {
		t.Errorf("the blog alone: %s", w.Body)
	}
	if w := ask(s, "GET", "/status.json?application=shelf"); w.Code != 404 || !strings.Contains(w.Body.String(), `there is no application "shelf": want one of wiki, blog`) {
		t.Errorf("an application that is not there: %d %s", w.Code, w.Body)
	}
	if w := ask(s, "POST", "/restart?application=wki"); w.Code != 404 || !strings.Contains(w.Body.String(), `there is no application "wki"`) {
		t.Errorf("restart of one that is not there: %d %s", w.Code, w.Body)
	}

	if err := os.WriteFile(path, []byte(strings.Replace(twoApplications, "\"blog\"\nbackends", "\"log\"\nbackends", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if w := ask(s, "POST", "/reload"); w.Code != 422 || !strings.Contains(w.Body.String(), path+":16:1: application: there is no \"blog\", did you mean \"log\"?") {
		t.Errorf("a file with a mistake: %d %s", w.Code, w.Body)
	}
	check("wiki", "blog")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(twoApplications, "\"blog\"", "\"log\"")), 0o600); err != nil {
		t.Fatal(err)
	}
	if w := ask(s, "POST", "/reload"); w.Code != 200 || w.Body.String() != "reloaded\n" {
		t.Errorf("another name: %d %s", w.Code, w.Body)
	}
	check("wiki", "log")
	if w := ask(s, "POST", "/reload", "Origin", "http://evil.example"); w.Code != 403 {
		t.Errorf("a reload by a foreign page: %d", w.Code)
	}
}

// Flags cannot be loaded again, and nothing is loaded again at the end.
func TestNothingToReload(t *testing.T) {
	s := statusServer(t, testApplication(t, config.Application{Backends: []string{"unix:/run/app.sock"}}), nil)
	if w := ask(s, "POST", "/reload"); w.Code != 409 || !strings.Contains(w.Body.String(), "there is no configuration file to load again") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	of, _ := fileServer(t, twoApplications)
	of.drain()
	if w := ask(statusServer(t, of, nil), "POST", "/reload"); w.Code != 409 || !strings.Contains(w.Body.String(), "sluice is ending") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

package cgi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
			_, err := m.Vars(nil, r, m.Client(r), 0)
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

func TestHideRefuses(t *testing.T) {
	for _, p := range []string{"data", "", "/", "/."} {
		if m, err := NewMapper(Config{Hide: []string{p}}); err == nil {
			m.Close()
			t.Errorf("hide %q was taken", p)
		}
	}
}

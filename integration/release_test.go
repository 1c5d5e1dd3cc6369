//go:build linux

package integration

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// releases makes a site with releases that are complete each, and the link that says which
// is served.
func releases(t *testing.T, names ...string) (current string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		release := filepath.Join(dir, "releases", name)
		write(t, filepath.Join(release, "index.php"), "<?php require __DIR__ . '/part.php'; echo ' %s ', basename($_SERVER['DOCUMENT_ROOT']), ' ', basename(dirname($_SERVER['SCRIPT_FILENAME']));", name)
		write(t, filepath.Join(release, "part.php"), "<?php echo '%s';", name)
		write(t, filepath.Join(release, "style.css"), "%s", name)
		write(t, filepath.Join(release, "new-"+name+".php"), "<?php echo '%s';", name)
	}
	current = filepath.Join(dir, "current")
	deploy(t, current, names[0])
	return current
}

// deploy switches the link as people do: it is not there for a moment.
func deploy(t *testing.T, current, name string) {
	t.Helper()
	if err := os.Remove(current); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.Symlink("releases/"+name, current); err != nil {
		t.Fatal(err)
	}
}

// A release is served from the moment that it is switched to, scripts and files, although
// PHP remembers for two minutes where the link led; and on when the old one is removed.
func TestReleaseIsSwitched(t *testing.T) {
	current := releases(t, "1", "2")
	be := startFPM(t, fpmOptions{root: current, workers: 2})
	gate := startSluice(t, be.args()...)
	s := newSite(t, gate.url)
	for _, want := range []string{"1", "2", "1"} {
		deploy(t, current, want)
		eventually(t, "release "+want+" is served", func() error {
			if got := s.get(t, "/"); got != strings.TrimSuffix(strings.Repeat(want+" ", 4), " ") {
				return fmt.Errorf("it is %q", got)
			}
			return nil
		})
		if got := s.get(t, "/style.css") + s.get(t, "/new-"+want+".php"); got != want+want {
			t.Errorf("release %s: style and new script are of %s", want, got)
		}
	}
	gate.logs(t, "a directory leads elsewhere than before")
	deploy(t, current, "2")
	if err := os.RemoveAll(filepath.Join(filepath.Dir(current), "releases/1")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new release is served, the old one is gone", func() error {
		for _, route := range []string{"/new-2.php", "/style.css"} {
			if resp, body := s.do(t, s.request(t, http.MethodGet, route, nil)); body != "2" {
				return fmt.Errorf("%s: %s %q", route, resp.Status, body)
			}
		}
		return nil
	})
}

// While releases are switched, nobody meets the gap between them, and each page is of one.
func TestReleasesAreSwitchedUnderLoad(t *testing.T) {
	current := releases(t, "1", "2")
	be := startFPM(t, fpmOptions{root: current, workers: 4})
	s := newSite(t, startSluice(t, be.args()...).url)
	var clients sync.WaitGroup
	var left atomic.Int32
	for _, route := range []string{"/", "/index.php/x", "/style.css", "/"} {
		left.Add(1)
		clients.Go(func() {
			defer left.Add(-1)
			for range 250 {
				resp, body := s.do(t, s.request(t, http.MethodGet, route, nil))
				name := body[:min(1, len(body))]
				whole := body == name || body == strings.TrimSuffix(strings.Repeat(name+" ", 4), " ")
				if resp.StatusCode != http.StatusOK || name != "1" && name != "2" || !whole {
					t.Errorf("%s: %s, %q", route, resp.Status, head(body))
				}
			}
		})
	}
	for i := 0; left.Load() > 0; i++ {
		deploy(t, current, []string{"2", "1"}[i%2])
		s.get(t, "/style.css")
	}
	clients.Wait()
}

// A root that goes, goes; and serves when it comes back.
func TestRootGoesAndComesBack(t *testing.T) {
	current := releases(t, "1")
	be := startFPM(t, fpmOptions{root: current, workers: 2})
	gate := startSluice(t, be.args()...)
	s := newSite(t, gate.url)
	status := func(route string) int {
		resp, _ := s.do(t, s.request(t, http.MethodGet, route, nil))
		return resp.StatusCode
	}
	if got := status("/"); got != 200 {
		t.Fatalf("%d at first", got)
	}
	if err := os.Remove(current); err != nil {
		t.Fatal(err)
	}
	for route, want := range map[string]int{"/": 404, "/style.css": 404} {
		eventually(t, "the root is gone", func() error {
			if got := status(route); got != want {
				return fmt.Errorf("%s: %d", route, got)
			}
			return nil
		})
	}
	gate.logs(t, "a directory cannot be opened: what is there is answered with 404 until it can")
	deploy(t, current, "1")
	eventually(t, "the root is back", func() error {
		if got := status("/"); got != 200 {
			return fmt.Errorf("%d", got)
		}
		return nil
	})
}

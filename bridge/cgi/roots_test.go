package cgi

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"testing"
)

// Each site has its root, and none can be led into another's.
func TestRootOfTheRequest(t *testing.T) {
	dir := t.TempDir()
	for _, site := range []string{"a.example", "b.example"} {
		writeText(t, filepath.Join(dir, site, "index.php"), site)
		writeText(t, filepath.Join(dir, site, "style.css"), site)
	}
	writeText(t, filepath.Join(dir, "index.php"), "of none")
	m := newMapper(t, Config{
		Preset: PresetPHP, Root: "the sites", Fallback: "/index.php", Hide: []string{"/data"},
		RootOf: func(r *http.Request) (string, error) {
			site := r.Header.Get("X-Site")
			if site == "broken" {
				return "", &RequestError{Status: 404, Reason: "broken"}
			}
			return dir + "/" + site, nil
		},
	})
	of := func(site, target string) *http.Request {
		r := get(t, target)
		r.Header.Set("X-Site", site)
		return r
	}
	for _, site := range []string{"a.example", "b.example"} {
		for range 2 { // opened, and found
			root := filepath.Join(dir, site)
			wantVars(t, vars(t, m, of(site, "/page"), 0), map[string]string{"DOCUMENT_ROOT": root, "SCRIPT_FILENAME": root + "/index.php"})
			f, err := m.OpenStatic(of(site, "/style.css"))
			if err != nil || f == nil {
				t.Fatal(f, err)
			}
			buf := make([]byte, 20)
			if n, _ := f.Read(buf); string(buf[:n]) != site {
				t.Errorf("%s has the file of %s", site, buf[:n])
			}
			f.Close()
		}
	}
	for _, site := range []string{"c.example", "broken", ".", "..", "", "x/../a.example", "a.example/"} {
		wantRefused(t, m, of(site, "/"), http.StatusNotFound)
		if f, err := m.OpenStatic(of(site, "/style.css")); f != nil || err != nil {
			t.Errorf("%s: %v, %v", site, f, err)
		}
	}
	if n := len(m.roots.open); n != 2 {
		t.Errorf("%d roots are open", n)
	}
	if m.Root() != nil || len(m.Unused()) > 0 || !m.Leads("/x") {
		t.Error("there is one root")
	}
}

// Clients cannot have more than so many roots open.
func TestRootsAreBounded(t *testing.T) {
	dir := t.TempDir()
	for i := range maxRoots + 20 {
		writeText(t, filepath.Join(dir, fmt.Sprint(i), "index.php"), "")
	}
	before := descriptors(t)
	r := newRoots(nil)
	_, held, err := r.acquire(filepath.Join(dir, "0"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxRoots + 20 {
		_, some, err := r.acquire(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := some.release(); err != nil {
			t.Fatal(err)
		}
		if i > 0 { // 1 is used as often as any
			if _, again, err := r.acquire(filepath.Join(dir, "1")); err != nil {
				t.Fatal(err)
			} else if err := again.release(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := descriptors(t) - before; n > maxRoots+1 || len(r.open) != maxRoots {
		t.Errorf("%d descriptors for %d roots", n, len(r.open))
	}
	if r.open[filepath.Join(dir, "1")] == nil || r.open[filepath.Join(dir, "0")] != nil {
		t.Error("it is not the one that was unused for longest that was closed")
	}
	if _, err := held.stat("index.php"); err != nil {
		t.Errorf("closed under a request: %v", err)
	}
	if err := errors.Join(r.close(), held.release()); err != nil {
		t.Error(err)
	}
	if n := descriptors(t); n > before {
		t.Errorf("%d descriptors are open in the end, %d before", n, before)
	}
	if _, _, err := r.acquire(filepath.Join(dir, "1")); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after it was closed: %v", err)
	}
}

// A root that is closed for another one while a request looks for a name goes on being
// that request's, also where the name is not found.
func TestRootClosedUnderARequest(t *testing.T) {
	dir := t.TempDir()
	writeText(t, filepath.Join(dir, "index.php"), "")
	m := newMapper(t, Config{
		Preset: PresetPHP, Root: "the sites", Fallback: "/index.php",
		RootOf: func(*http.Request) (string, error) { return dir, nil },
	})
	s, err := m.search(get(t, "/x.php"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	m.roots.mu.Lock()
	m.roots.evict()
	m.roots.mu.Unlock()
	for _, rest := range []string{"/x.php", "/y", "/"} {
		if got, err := s.resolve(rest); err != nil || got.script != "/index.php" {
			t.Errorf("%s: %+v, %v", rest, got, err)
		}
	}
	if root := s.documentRoot(); root != dir {
		t.Errorf("the root is %q then", root)
	}
}

// Roots that cannot be seen from here may depend on the request, too.
func TestRootOfTheRequestWithoutFiles(t *testing.T) {
	m := newMapper(t, Config{Preset: PresetPHP, Root: "x", Unchecked: true, RootOf: func(r *http.Request) (string, error) { return "/sites/" + r.Header.Get("X-Site"), nil }})
	r := get(t, "/a.php")
	r.Header.Set("X-Site", "a.example")
	wantVars(t, vars(t, m, r, 0), map[string]string{"SCRIPT_FILENAME": "/sites/a.example/a.php"})
	r.Header.Set("X-Site", "..")
	wantRefused(t, m, r, http.StatusNotFound)
}

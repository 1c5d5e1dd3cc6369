package cgi

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCoding(t *testing.T) {
	for _, c := range []struct{ accept, want string }{
		{"", ""},
		{"identity", ""},
		{"gzip", "gzip"},
		{"GZIP", "gzip"},
		{"x-gzip", "gzip"},
		{"gzip, deflate, br, zstd", "br"},
		{"gzip;q=1.0, br;q=0.5", "gzip"},
		{"gzip;q=0.5, zstd;q=0.5", "zstd"},
		{"gzip;q=0", ""},
		{"*", "br"},
		{"*;q=0.3, gzip;q=0", "br"},
		{"*;q=0", ""},
		{"identity;q=1, gzip;q=0.5", ""},
		{"identity;q=0.5, gzip;q=0.6", "gzip"},
		{"identity;q=0, gzip;q=0.1", "gzip"},
		{"gzip;q=2", ""},
		{"gzip;q=x", ""},
		{"gzip ; q=0.001", "gzip"},
		{"deflate, compress", ""},
		{",,gzip,", "gzip"},
	} {
		h := http.Header{}
		if c.accept != "" {
			h["Accept-Encoding"] = []string{c.accept}
		}
		if got := Coding(h, []string{"br", "zstd", "gzip"}); got != c.want {
			t.Errorf("for %q, the coding is %q, want %q", c.accept, got, c.want)
		}
	}
	h := http.Header{"Accept-Encoding": {"deflate", "gzip"}}
	if got := Coding(h, []string{"gzip"}); got != "gzip" {
		t.Errorf("of two lines, the coding is %q", got)
	}
}

func TestVaryByCoding(t *testing.T) {
	for before, want := range map[string]string{"": "Accept-Encoding", "Cookie": "Cookie|Accept-Encoding", "*": "*", "Cookie, accept-encoding": "Cookie, accept-encoding"} {
		h := http.Header{}
		if before != "" {
			h.Set("Vary", before)
		}
		if VaryByCoding(h); strings.Join(h["Vary"], "|") != want {
			t.Errorf("%q becomes %q, want %q", before, h["Vary"], want)
		}
	}
}

// A compressed file beside another one is sent to who takes it, unless it is older.
func TestPrecompressed(t *testing.T) {
	root := phpRoot(t)
	for _, name := range []string{"style.css.gz", "style.css.br", "static/index.html.gz", "dir.css/x.css", "dir.css.gz/x"} {
		writeFile(t, root, name, 0o644)
	}
	writeFile(t, root, "stale.css.gz", 0o644)
	writeFile(t, root, "stale.css", 0o644)
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(root, "stale.css.gz"), past, past); err != nil {
		t.Fatal(err)
	}
	symlink(t, "/etc/passwd", filepath.Join(root, "style.css.zst"))
	m := newMapper(t, Config{Preset: PresetPHP, Root: root, StaticPrecompressed: []string{"zstd", "br", "gzip"}})
	tags := make(map[string]bool)
	for _, c := range []struct{ target, accept, coding string }{
		{"/style.css", "", ""},
		{"/style.css", "gzip", "gzip"},
		{"/style.css", "gzip, br", "br"},
		{"/style.css", "gzip, br, zstd", "br"}, // the zstd leads out of the root
		{"/style.css", "zstd", ""},
		{"/stale.css", "gzip", ""},
		{"/static/index.html", "gzip", "gzip"},
	} {
		r := get(t, c.target)
		if c.accept != "" {
			r.Header.Set("Accept-Encoding", c.accept)
		}
		f, err := m.OpenStatic(r)
		if err != nil || f == nil {
			t.Fatalf("%s: %v, %v", c.target, f, err)
		}
		if f.Coding != c.coding || !f.Varies || f.Size == 0 || !strings.HasPrefix(f.ETag, `"`) {
			t.Errorf("%s for %q: %+v, want %q", c.target, c.accept, f, c.coding)
		}
		if want := strings.TrimPrefix(c.target, "/") + siblingOf[c.coding]; !strings.HasSuffix(f.Name(), want) {
			t.Errorf("%s for %q is %s", c.target, c.accept, f.Name())
		}
		if c.target == "/style.css" {
			tags[f.ETag] = true
		}
		_ = f.Close()
	}
	if len(tags) != 3 {
		t.Errorf("three variants have the tags %v", tags)
	}
}

func TestStaticCache(t *testing.T) {
	root := phpRoot(t)
	m := newMapper(t, Config{Preset: PresetPHP, Root: root, StaticCache: []string{"/static/* no-cache", "*.css?v=* max-age=9, immutable", "*.css max-age=5"}})
	for target, want := range map[string]string{"/style.css": "max-age=5", "/style.css?v=1": "max-age=9, immutable", "/style.css?w=1": "max-age=5", "/static/index.html": "no-cache"} {
		f, err := m.OpenStatic(get(t, target))
		if err != nil || f == nil {
			t.Fatalf("%s: %v, %v", target, f, err)
		}
		_ = f.Close()
		if f.CacheControl != want {
			t.Errorf("%s has %q, want %q", target, f.CacheControl, want)
		}
	}
}

// A directory outside the root has index files, and answers alone for its paths, if it is said to.
func TestStaticDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"index.html", "sub/index.html", "none/x.css", ".hidden/index.html", "x.py", "scripts/index.cgi"} {
		writeFile(t, dir, name, 0o644)
	}
	for _, mount := range []string{"", "/trac"} {
		m := newMapper(t, Config{Mount: mount, StaticDirs: []string{"/chrome=" + dir}, Index: []string{"index.cgi", "index.html"}, StaticMissing: "404"})
		for target, want := range map[string]string{"/chrome/": "index.html", "/chrome/sub/": "sub/index.html", "/chrome//sub/": "sub/index.html", "/chrome/index.html": "index.html", "/chrome/none/x.css": "none/x.css"} {
			f, err := m.OpenStatic(get(t, mount+target))
			if err != nil || f == nil {
				t.Errorf("%s: %v, %v", target, f, err)
				continue
			}
			_ = f.Close()
			if f.Name() != filepath.Join(dir, want) {
				t.Errorf("%s is %s, want %s", target, f.Name(), want)
			}
		}
		for target, location := range map[string]string{"/chrome?a=b": "/chrome/?a=b", "/chrome/sub": "/chrome/sub/"} {
			if got := refusal(t, m, get(t, mount+target)); got.Status != 301 || got.Location != mount+location {
				t.Errorf("%s is answered %d %q", target, got.Status, got.Location)
			}
		}
		for _, target := range []string{"/chrome/missing", "/chrome/none/", "/chrome/none", "/chrome/.hidden/", "/chrome/x.py", "/chrome/scripts/"} {
			r := get(t, mount+target)
			if f, err := m.OpenStatic(r); f != nil || err != nil {
				t.Errorf("%s is %v, %v", target, f, err)
			}
			if got := refusal(t, m, r); got.Status != 404 {
				t.Errorf("%s is answered %d", target, got.Status)
			}
		}
		vars(t, m, get(t, mount+"/chromes"), 0)
	}
	m := newMapper(t, Config{StaticDirs: []string{"/chrome=" + dir}})
	vars(t, m, get(t, "/chrome/missing"), 0) // is the application's
}

// Below the root, scripts go on being scripts, and a front controller does not answer for missing files.
func TestStaticMissingBelowRoot(t *testing.T) {
	root := phpRoot(t)
	m := newMapper(t, Config{Preset: PresetPHP, Root: root, Fallback: "/index.php", StaticDirs: []string{"/sub"}, StaticMissing: "404"})
	if got := refusal(t, m, get(t, "/sub/missing.png")); got.Status != 404 || got.File != "" {
		t.Errorf("%+v", got)
	}
	wantVars(t, vars(t, m, get(t, "/sub/deep/page.php"), 0), map[string]string{"SCRIPT_NAME": "/sub/deep/page.php"})
	wantVars(t, vars(t, m, get(t, "/missing.png"), 0), map[string]string{"SCRIPT_NAME": "/index.php"})
}

func TestStaticErrors(t *testing.T) {
	dirs := func(cfg Config) Config {
		cfg.StaticDirs = []string{"/x=/srv"}
		return cfg
	}
	for want, cfg := range map[string]Config{
		`static_cache "x max-age=3": want PATTERN VALUE`:             dirs(Config{StaticCache: []string{"x max-age=3"}}),
		`static_cache "/x": want a value`:                            dirs(Config{StaticCache: []string{"/x"}}),
		"static_cache \"/x a\\nb\": want a value":                    dirs(Config{StaticCache: []string{"/x a\nb"}}),
		`static_cache "/x/y b": can match nothing, "/x/*" before it`: dirs(Config{StaticCache: []string{"/x/* a", "/x/y b"}}),
		`static_cache: no files are sent`:                            {StaticCache: []string{"/x a"}},
		`static_precompressed "deflate": want br, zstd or gzip`:      dirs(Config{StaticPrecompressed: []string{"deflate"}}),
		`static_precompressed "br": is there twice`:                  dirs(Config{StaticPrecompressed: []string{"br", "br"}}),
		`static_precompressed: no files are sent`:                    {StaticPrecompressed: []string{"br"}},
		`static_missing "never": must be "pass" or "404"`:            dirs(Config{StaticMissing: "never"}),
		`static_missing: means nothing without static_dirs`:          {StaticMissing: "404"},
		`index: preset "app" has no files`:                           {Index: []string{"index.html"}},
	} {
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), "cgi: "+want) {
			t.Errorf("%v, want cgi: %s", err, want)
		}
	}
}

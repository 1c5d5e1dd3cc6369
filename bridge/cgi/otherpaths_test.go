package cgi

import (
	"slices"
	"testing"
)

// What answers for a path has a path of its own.
func TestOtherPaths(t *testing.T) {
	root, outside := phpRoot(t), t.TempDir()
	for _, name := range []string{"style.css.gz", "docs/index.html"} {
		writeFile(t, root, name, 0o644)
	}
	writeFile(t, outside, "sub/index.html", 0o644)
	m := newMapper(t, Config{
		Mount: "/app", Preset: PresetPHP, Root: root, Fallback: "/index.php/*", Index: []string{"index.php", "index.html"},
		Rewrite:    []string{"/app/old/* /app/sub/*", "/app/nice/* /app/style.css"},
		StaticDirs: []string{"/files=" + outside}, Static: StaticAll, StaticPrecompressed: []string{"gzip"},
	})
	for target, want := range map[string][]string{
		"/app/index.php":           nil,
		"/app/index.php/x":         nil,
		"/app//index.php":          nil,
		"/app/style.css":           nil,
		"/app/style.css.gz":        {"/app/style.css"},
		"/app/":                    {"/app/index.php"},
		"/app/docs/":               {"/app/docs/index.html"},
		"/app/docs":                nil, // a redirect
		"/app/nothing/there":       {"/app/index.php/nothing/there"},
		"/app/old/":                {"/app/sub/", "/app/sub/index.php"},
		"/app/old/x":               {"/app/sub/x", "/app/index.php/sub/x"},
		"/app/nice/x":              {"/app/style.css"},
		"/files/sub/":              {"/files/sub/index.html"},
		"/files/sub/index.html":    nil,
		"/elsewhere":               nil,
		"/app/../../x":             nil,
		"/app/upload/x.jpg/a.html": {"/app/index.php/upload/x.jpg/a.html"},
	} {
		if got := m.OtherPaths(get(t, target)); !slices.Equal(got, want) {
			t.Errorf("%s leads to %q, want %q", target, got, want)
		}
	}
}

// An authorizer is asked about a script by whatever path it is reached, but not by one that is excepted.
func TestGuardedScript(t *testing.T) {
	m := newMapper(t, Config{Preset: PresetPHP, Root: phpRoot(t), Fallback: "/index.php"})
	for _, c := range []struct {
		paths, except []string
		asked, free   []string
	}{
		{[]string{"/index.php"}, []string{"/api"}, []string{"/index.php", "/", "/x", "/index.php/api"}, []string{"/api", "/api/x", "/style.css", "/sub/"}},
		{[]string{"/sub/index.php"}, nil, []string{"/sub/"}, []string{"/", "/x"}},
		{nil, []string{"/api"}, []string{"/", "/x"}, []string{"/api/x"}},
	} {
		g, err := NewGuard("", c.paths, c.except)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range c.asked {
			if !m.Guarded(&g, get(t, target)) {
				t.Errorf("paths %q except %q: not asked about %s", c.paths, c.except, target)
			}
		}
		for _, target := range c.free {
			if m.Guarded(&g, get(t, target)) {
				t.Errorf("paths %q except %q: asked about %s", c.paths, c.except, target)
			}
		}
	}
}

// A hidden file is not sent as what is compressed of it, nor is what is hidden sent in the place of a file.
func TestHiddenSibling(t *testing.T) {
	root, outside := phpRoot(t), t.TempDir()
	for _, name := range []string{"style.css.gz", "style.css.zst", "plain.css", "plain.css.gz", "docs/index.html", "docs/index.html.gz"} {
		writeFile(t, root, name, 0o644)
	}
	for _, name := range []string{"a.css", "a.css.gz"} {
		writeFile(t, outside, name, 0o644)
	}
	cfg := Config{
		Preset: PresetPHP, Root: root, Static: StaticAll, StaticDirs: []string{"/files=" + outside}, Index: []string{"index.html"},
		Hide: []string{"/style.css", "/plain.css.gz", "/docs/index.html.gz", "/files/a.css"}, StaticPrecompressed: []string{"gzip"},
	}
	for target, want := range map[string]string{
		"/style.css": "", "/style.css.gz": "", "/style.css.zst": "/style.css.zst", // no coding that is sent
		"/plain.css": "/plain.css", "/plain.css.gz": "", "/docs/": "/docs/index.html",
		"/files/a.css": "", "/files/a.css.gz": "",
	} {
		m := newMapper(t, cfg)
		r := get(t, target)
		r.Header.Set("Accept-Encoding", "gzip")
		f, err := m.OpenStatic(r)
		switch {
		case err != nil:
			t.Error(err)
		case f == nil:
			if want != "" {
				t.Errorf("%s is not sent", target)
			}
		default:
			if _ = f.Close(); want == "" || f.Coding != "" {
				t.Errorf("%s is sent as %s, in %q", target, f.Name(), f.Coding)
			}
		}
	}
}

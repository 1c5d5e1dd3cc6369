package cgi

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"testing"
)

// downloads is a tree as applications have it: what is meant for visitors beside what is
// not.
func downloads(t *testing.T) string {
	root := t.TempDir()
	for _, name := range []string{
		"index.php", "style.css", "notes.txt", "robots.txt", "manual.docx", "LOGO.PNG", "config.yml", "db.sqlite", "x.php.bak", "lib.inc",
		"uploads/a.zip", "uploads/deep/b", "uploads/.htaccess", "uploads/c.php~", "uploads/d.phtml", "uploads-not/e.zip",
		".well-known/acme-challenge/token", ".well-known/.hidden", "tool.pl", "doc/index.html",
	} {
		writeFile(t, root, name, 0o644)
	}
	writeFile(t, root, "run.cgi", 0o755)
	writeFile(t, root, "program", 0o755)
	return root
}

// sent lists what a Mapper would send of a tree, by both of its methods.
func sent(t *testing.T, m *Mapper, root, mount string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		r := get(t, mount+"/"+name)
		found, ok := m.StaticFile(r)
		f, err := m.OpenStatic(r)
		if err != nil || (f != nil) != ok || ok && found != name {
			t.Errorf("%s: StaticFile says %q %v, OpenStatic %v, %v", name, found, ok, f, err)
		}
		if f == nil {
			return nil
		}
		defer f.Close()
		if text, err := io.ReadAll(f); err != nil || string(text) != name {
			t.Errorf("%s holds %q, %v", name, text, err)
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestStaticFiles(t *testing.T) {
	root := downloads(t)
	usual := []string{".well-known/acme-challenge/token", "LOGO.PNG", "doc/index.html", "robots.txt", "style.css"}
	uploads := []string{"uploads/a.zip", "uploads/deep/b"}
	all := slices.Concat(usual, uploads, []string{"config.yml", "db.sqlite", "manual.docx", "notes.txt", "program", "run.cgi", "tool.pl", "uploads-not/e.zip"})
	for name, test := range map[string]struct {
		cfg  Config
		want []string
	}{
		"php":                {Config{Preset: PresetPHP}, usual},
		"php, all":           {Config{Preset: PresetPHP, Static: StaticAll}, all},
		"off":                {Config{Preset: PresetPHP, Static: StaticOff}, nil},
		"usual":              {Config{Preset: PresetPHP, Static: StaticUsual}, usual},
		"types":              {Config{Preset: PresetPHP, StaticTypes: []string{"ZIP", ".docx"}}, slices.Concat(usual, []string{"manual.docx", "uploads/a.zip", "uploads-not/e.zip"})},
		"text":               {Config{Preset: PresetPHP, Static: StaticUsual, StaticTypes: []string{"txt"}}, slices.Concat(usual, []string{"notes.txt"})},
		"a directory":        {Config{Preset: PresetPHP, StaticDirs: []string{"/uploads/"}}, slices.Concat(usual, uploads)},
		"whole":              {Config{Preset: PresetPHP, Mount: "/wiki", StaticDirs: []string{"/wiki/uploads"}}, slices.Concat(usual, uploads)},
		"below the mount":    {Config{Preset: PresetPHP, Mount: "/wiki", StaticDirs: []string{"/uploads"}}, slices.Concat(usual, uploads)},
		"hidden":             {Config{Preset: PresetPHP, StaticDirs: []string{"/uploads"}, Hide: []string{"/uploads/deep", "/doc"}}, []string{usual[0], usual[1], usual[3], usual[4], "uploads/a.zip"}},
		"cgi":                {Config{Preset: PresetCGI}, usual},
		"cgi, a directory":   {Config{Preset: PresetCGI, StaticDirs: []string{"/uploads"}}, slices.Concat(usual, uploads)},
		"cgi, all":           {Config{Preset: PresetCGI, Static: StaticAll}, slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == "program" || n == "run.cgi" || n == "tool.pl" })},
		"app":                {Config{}, nil},
		"app, usual":         {Config{Static: StaticUsual}, usual},
		"app, types":         {Config{StaticTypes: []string{"css"}}, []string{"style.css"}},
		"app, a directory":   {Config{StaticDirs: []string{"/uploads"}}, uploads},
		"app, all":           {Config{Static: StaticAll}, slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == "run.cgi" || n == "tool.pl" })},
		"app, where it is":   {Config{Mount: "/trac", StaticDirs: []string{"/uploads"}}, uploads},
		"a front controller": {Config{Preset: PresetPHP, Static: StaticUsual, Fallback: "/index.php"}, usual},
	} {
		t.Run(name, func(t *testing.T) {
			test.cfg.Root = root
			got := sent(t, newMapper(t, test.cfg), root, test.cfg.Mount)
			want := slices.Sorted(slices.Values(test.want))
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("sends %q\nwant  %q", got, want)
			}
		})
	}
}

// Directories outside the root have paths of their own, be there a root or not.
func TestStaticDirectoriesElsewhere(t *testing.T) {
	css, outside := t.TempDir(), t.TempDir()
	for _, name := range []string{"cgit.css", "sub/logo.png", ".git/x.css", "x.cgi", "old.css~", "data"} {
		writeFile(t, css, name, 0o644)
	}
	writeFile(t, outside, "secret.css", 0o644)
	symlink(t, filepath.Join(outside, "secret.css"), filepath.Join(css, "leak.css"))
	writeFile(t, css, "private/key", 0o644)
	m := newMapper(t, Config{Mount: "/git", StaticDirs: []string{"/cgit-css=" + css}, Hide: []string{"/cgit-css/private", "/git/cgit-css/sub/hidden"}})
	for target, want := range map[string]string{
		"/cgit-css/cgit.css": "cgit.css", "/git/cgit-css/cgit.css": "cgit.css", "/cgit-css//sub/./logo.png": "sub/logo.png", "/cgit-css/data": "data",
		"/cgit-css/": "", "/cgit-css": "", "/cgit-css/sub": "", "/cgit-css/nothing": "", "/cgit-css/../cgit.css": "", "/cgit-cssx/cgit.css": "",
		"/cgit-css/.git/x.css": "", "/cgit-css/x.cgi": "", "/cgit-css/old.css~": "", "/cgit-css/leak.css": "", "/cgit-css/private/key": "",
		"/other/cgit-css/cgit.css": "", "/cgit.css": "",
	} {
		f, err := m.OpenStatic(get(t, target))
		if err != nil || (f == nil) != (want == "") {
			t.Errorf("%s: %v, %v", target, f, err)
			continue
		}
		if f == nil {
			continue
		}
		if text, err := io.ReadAll(f); err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v, want %s", target, text, err, want)
		}
		f.Close()
		if name, ok := m.StaticFile(get(t, target)); ok {
			t.Errorf("%s is said to be below the root: %s", target, name)
		}
	}
}

func TestContentTypes(t *testing.T) {
	for name, want := range map[string]string{
		"a.CSS": "text/css; charset=utf-8", "a.html": "text/html", "a.xml": "text/xml", "a.zip": "application/zip", "a.nothing-like-it": "application/octet-stream", "a": "application/octet-stream",
	} {
		if got := contentType(name); got != want && (name != "a.xml" || got != "application/xml") {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for ext := range maps.Keys(usualTypes) {
		if isBackup("x"+ext) || (&Mapper{preset: PresetCGI}).isSource(ext) {
			t.Errorf("%s cannot be usual", ext)
		}
	}
}

// A file that has become a program, a directory or nothing since it was looked at is not
// sent.
func TestWhatIsOpenedIsCheckedAgain(t *testing.T) {
	root := t.TempDir()
	writeFile(t, root, "now-a-program.css", 0o755)
	writeFile(t, root, "now-a-directory.css/x", 0o644)
	m := newMapper(t, Config{Preset: PresetCGI, Root: root})
	held := m.root.acquire()
	defer held.release()
	for _, name := range []string{"now-a-program.css", "now-a-directory.css", "gone.css"} {
		if f, err := m.openStatic(held, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

// The log is told why a file that is there is not sent.
func TestWhyAFileIsNotSent(t *testing.T) {
	root := downloads(t)
	for target, want := range map[string]string{
		"/config.yml":        `"/config.yml" is a file and not sent: its type is not in static or static_types, nor is it below static_dirs (--static-types, --static-dirs)`,
		"/uploads/.htaccess": `"/uploads/.htaccess" begins with a dot, and is not sent`,
		"/x.php.bak":         `"/x.php.bak" is a backup by its name, and is not sent`,
	} {
		m := newMapper(t, Config{Preset: PresetPHP, Root: root, Static: StaticUsual})
		if refused := wantRefused(t, m, get(t, target), 404); refused.Reason != want {
			t.Errorf("%s: %s\nwant %s", target, refused.Reason, want)
		}
	}
	m := newMapper(t, Config{Preset: PresetCGI, Root: root, Static: StaticOff})
	want := `"/style.css" is a file and not sent, because no files are (to have some sent, set static: --static)`
	if refused := wantRefused(t, m, get(t, "/style.css"), 404); refused.Reason != want {
		t.Errorf("%s\nwant %s", refused.Reason, want)
	}
}

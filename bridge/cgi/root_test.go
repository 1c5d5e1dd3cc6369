package cgi

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRootSymlinks(t *testing.T) {
	dir := t.TempDir()
	root, follow, outside := filepath.Join(dir, "root"), filepath.Join(dir, "follow"), filepath.Join(dir, "outside")
	writeFile(t, root, "a/file", 0o644)
	writeFile(t, follow, "b/file", 0o644)
	writeFile(t, outside, "file", 0o644)
	writeFile(t, dir, "follow-not/file", 0o644) // shares a prefix with follow
	for link, target := range map[string]string{
		"relative":       "a/file",
		"up":             "a/../a/file",
		"absolute":       filepath.Join(root, "a/file"),
		"a/self":         "../a",
		"out":            outside,
		"outrelative":    "../outside/file",
		"slip":           follow + "/../outside/file",
		"cousin":         follow + "-not/file",
		"followed":       follow,
		"followedup":     "../follow/b/file",
		"a/followeddeep": "../../follow/b",
		"dangling":       "gone",
		"dangling2":      follow + "/gone",
		"loop1":          "loop2",
		"loop2":          filepath.Join(root, "loop1"),
		"to root":        root,
	} {
		symlink(t, target, filepath.Join(root, link))
	}
	symlink(t, filepath.Join(root, "a"), filepath.Join(follow, "back"))
	symlink(t, outside, filepath.Join(follow, "escape"))
	symlink(t, "..", filepath.Join(follow, "parent"))
	// The kernel goes through the first symlink before it goes up: the second
	// leads to outside/file, although its text reads follow/file.
	writeFile(t, outside, "deep/file", 0o644)
	writeFile(t, follow, "file", 0o644)
	symlink(t, filepath.Join(outside, "deep"), filepath.Join(follow, "jump"))
	symlink(t, follow+"/jump/../file", filepath.Join(root, "lexical"))

	r, err := OpenRoot(root, []string{follow})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()

	for name, content := range map[string]string{
		"a/file":                      "a/file",
		"relative":                    "a/file",
		"absolute":                    "a/file",
		"a/self/self/file":            "a/file",
		"followed/b/file":             "b/file",
		"followedup":                  "b/file",
		"a/followeddeep/file":         "b/file",
		"followed/back/file":          "a/file",
		"to root/to root/a/self/file": "a/file",
	} {
		f, err := r.Open(name)
		if err != nil {
			t.Errorf("open %q: %v", name, err)
			continue
		}
		got, err := io.ReadAll(f)
		if err != nil || string(got) != content {
			t.Errorf("%q holds %q, %v, want %q", name, got, err, content)
		}
		f.Close()
	}
	for name, want := range map[string]error{
		"out":                      ErrOutsideRoot,
		"out/file":                 ErrOutsideRoot,
		"outrelative":              ErrOutsideRoot,
		"slip":                     ErrOutsideRoot,
		"lexical":                  ErrOutsideRoot,
		"cousin":                   ErrOutsideRoot,
		"followed/escape/file":     ErrOutsideRoot,
		"followed/parent/outside":  ErrOutsideRoot,
		"dangling":                 fs.ErrNotExist,
		"dangling2":                fs.ErrNotExist,
		"gone":                     fs.ErrNotExist,
		"a/file/x":                 fs.ErrNotExist,
		strings.Repeat("x", 300):   fs.ErrNotExist,
		"loop1":                    fs.ErrNotExist,
		"followed/b/file/x":        fs.ErrNotExist,
		"../outside/file":          fs.ErrInvalid,
		"/etc/passwd":              fs.ErrInvalid,
		"a/../a/file":              fs.ErrInvalid,
		"a//file":                  fs.ErrInvalid,
		"":                         fs.ErrInvalid,
		"a\x00b":                   fs.ErrInvalid,
		filepath.Join(root, "a/f"): fs.ErrInvalid,
	} {
		if _, err := r.Stat(name); !errors.Is(err, want) {
			t.Errorf("stat %q: got %v, want %v", name, err, want)
		}
		f, err := r.Open(name)
		if !errors.Is(err, want) || f != nil {
			t.Errorf("open %q: got %v, %v, want %v", name, f, err, want)
		}
	}
	// os.Root resolves this one itself: "a" is a directory and no symlink.
	if _, err := r.Stat("up"); err != nil {
		t.Errorf("stat up: %v", err)
	}
}

func TestRootThatIsASymlink(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "releases/1/file", 0o644)
	current := filepath.Join(dir, "current")
	symlink(t, "releases/1", current)
	symlink(t, filepath.Join(current, "file"), filepath.Join(dir, "releases/1/link"))
	r, err := OpenRoot(current, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Dir() != current {
		t.Errorf("Dir is %q, want %q", r.Dir(), current)
	}
	if _, err := r.Stat("link"); err != nil {
		t.Error(err)
	}
}

func TestRootDoesNotOpenSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := OpenRoot(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if f, err := r.Open("fifo"); !errors.Is(err, fs.ErrInvalid) || f != nil {
		t.Errorf("got %v, %v, want %v", f, err, fs.ErrInvalid)
	}
	f, err := r.Open(".")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func TestOpenRootErrorsNameTheKey(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "file", 0o644)
	for _, test := range []struct {
		dir    string
		follow []string
		key    string
	}{
		{filepath.Join(dir, "gone"), nil, "root"},
		{filepath.Join(dir, "file"), nil, "root"},
		{dir, []string{filepath.Join(dir, "gone")}, "follow"},
	} {
		_, err := OpenRoot(test.dir, test.follow)
		if err == nil || !strings.HasPrefix(err.Error(), "cgi: "+test.key+": ") {
			t.Errorf("%s, %v: got %v, want an error about %s", test.dir, test.follow, err, test.key)
		}
	}
}

func TestMapperClosesItsDirectories(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "x.php", 0o644)
	before := descriptors(t)
	for range 20 {
		m, err := NewMapper(Config{Preset: PresetPHP, Root: dir, Follow: []string{os.TempDir()}})
		if err != nil {
			t.Fatal(err)
		}
		vars(t, m, get(t, "/x.php"), 0)
		if err := errors.Join(m.Close(), m.Close()); err != nil {
			t.Fatal(err)
		}
		cfg := Config{Preset: PresetPHP, Root: dir, Follow: []string{"/does/not/exist"}, StaticDirs: []string{"/tmp=" + os.TempDir()}}
		if err := cfg.CheckDirectories(); err == nil {
			t.Fatal("want an error")
		}
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}

// descriptors counts open descriptors. /dev/fd is there on Linux, macOS and
// FreeBSD.
func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

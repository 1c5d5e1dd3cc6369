package sendfile

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

// tree makes a directory with files, each of which holds its own path below it, symbolic
// links (from->to) and directories (x/).
func tree(t testing.TB, entries ...string) string {
	t.Helper()
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name, target, link := strings.Cut(e, "->")
		full := filepath.Join(top, name)
		dir := filepath.Dir(full)
		if strings.HasSuffix(name, "/") {
			dir = full
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		switch {
		case link:
			err = os.Symlink(strings.Replace(target, "TOP", top, 1), full)
		case dir != full:
			err = os.WriteFile(full, []byte(name), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return top
}

// read returns what is in the file that is asked for.
func read(d Dirs, field, value string) (string, error) {
	f, err := d.Open(field, value)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	return string(text), err
}

func TestOpen(t *testing.T) {
	top := tree(t,
		"files/a.txt", "files/sub/b c.txt", "files/100%.txt", "files/a%20b.txt", "files/dir/", "filesystem/x",
		"files/inside->sub", "files/absolute->TOP/files/a.txt", "files/out->../secret.txt", "files/outdir->/etc", "files/media->TOP/media",
		"files/.hidden", "media/m.png", "media/big/n.png", "secret.txt",
		"releases/1/f/r.txt", "releases/2/f/r.txt", "current->releases/1")
	if err := syscall.Mkfifo(filepath.Join(top, "files/fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	both := []string{top + "/files", "/protected=" + top + "/files", "/protected/media/=" + top + "/media", top + "/current/f"}
	xsend, accel := Fields[0], Fields[2]
	for _, test := range []struct {
		list         []string
		field, value string
		want         string // what is in the file; "" if there is an error
		err          error  // nil: not listed
	}{
		{both, xsend, top + "/files/a.txt", "files/a.txt", nil},
		{both, Fields[1], top + "/files/a.txt", "files/a.txt", nil},
		{both, xsend, top + "/files/sub/b c.txt", "files/sub/b c.txt", nil},
		{both, xsend, top + "/files/sub/b%20c.txt", "files/sub/b c.txt", nil},
		{both, xsend, top + "/files/100%.txt", "files/100%.txt", nil},
		{both, xsend, top + "/files/100%25.txt", "files/100%.txt", nil},
		{both, xsend, top + "/files/a%20b.txt", "files/a%20b.txt", nil},
		{both, xsend, top + "//files/./sub/../a.txt", "files/a.txt", nil},
		{both, xsend, top + "/files/inside/b c.txt", "files/sub/b c.txt", nil},
		{both, xsend, top + "/files/absolute", "files/a.txt", nil},
		{both, xsend, top + "/files/.hidden", "files/.hidden", nil},
		{both, xsend, "a.txt", "files/a.txt", nil}, // relative, as Apache has it
		{both, xsend, "m.png", "media/m.png", nil},
		{both, xsend, top + "/files/media/m.png", "media/m.png", nil}, // from one listed directory into another
		{both, xsend, top + "/current/f/r.txt", "releases/1/f/r.txt", nil},
		{both, xsend, top + "/releases/1/f/r.txt", "releases/1/f/r.txt", nil}, // PHP's __DIR__

		{both, accel, "/protected/a.txt", "files/a.txt", nil},
		{both, accel, "/protected/sub/b%20c.txt?v=1", "files/sub/b c.txt", nil},
		{both, accel, "/protected/sub/b c.txt", "files/sub/b c.txt", nil},
		{both, accel, "/protected/a%2520b.txt", "files/a%20b.txt", nil},
		{both, accel, "/protected/media/big/n.png", "media/big/n.png", nil},
		{both, accel, "/protected/../protected/a.txt", "files/a.txt", nil},
		{both, accel, top + "/files/a.txt", "files/a.txt", nil}, // a location that is called as its root
		{[]string{"/=" + top + "/files"}, accel, "/sub/b%20c.txt", "files/sub/b c.txt", nil},
		{[]string{"/x=" + top + "/files/"}, accel, "/x/a.txt", "files/a.txt", nil},

		{nil, xsend, top + "/files/a.txt", "", nil},
		{both, xsend, top + "/secret.txt", "", nil},
		{both, xsend, top + "/files/../secret.txt", "", nil},
		{both, xsend, top + "/files/%2e%2e/secret.txt", "", fs.ErrNotExist},
		{both, xsend, top + "/files/out", "", nil},
		{both, xsend, top + "/files/outdir/hostname", "", nil},
		{both, xsend, top + "/filesystem/x", "", nil},
		{both, xsend, top + "/releases/2/f/r.txt", "", nil},
		{both, xsend, "/protected/a.txt", "", nil},
		{both, xsend, "../secret.txt", "", fs.ErrNotExist},
		{both, accel, "/protected/../../secret.txt", "", nil},
		{both, accel, "/protected/%2e%2e/%2e%2e/secret.txt", "", fs.ErrNotExist},
		{both, accel, "/protectedx/a.txt", "", nil},
		{both, accel, "/elsewhere", "", nil},
		{both, accel, "@named", "", fs.ErrNotExist},
		{both, accel, "http://example.org/a.txt", "", fs.ErrNotExist},
		{both, accel, "/protected/a.txt%00", "", fs.ErrNotExist},
		{both, xsend, top + "/files/nothing", "", fs.ErrNotExist},
		{both, xsend, top + "/files/a.txt/x", "", fs.ErrNotExist},
		{both, xsend, top + "/files/dir", "", fs.ErrInvalid},
		{both, xsend, top + "/files", "", fs.ErrInvalid},
		{both, xsend, top + "/files/fifo", "", fs.ErrInvalid},
		{[]string{top + "/gone"}, xsend, top + "/gone/a.txt", "", fs.ErrNotExist},
	} {
		d, err := New(test.list)
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(d, test.field, test.value)
		var unlisted *NotListedError
		switch {
		case test.want != "":
			if got != test.want || err != nil {
				t.Errorf("%s: %s: got %q, %v", test.field, test.value, got, err)
			}
		case test.err != nil && !errors.Is(err, test.err), (test.err == nil) != errors.As(err, &unlisted):
			t.Errorf("%s: %s: got %q, %v; want %v", test.field, test.value, got, err, test.err)
		case unlisted != nil && unlisted.Elsewhere != (len(test.list) > 0):
			t.Errorf("%s: %v", test.value, unlisted)
		}
	}
}

// A directory is the one that is there now.
func TestDirectoryIsLookedUpAnew(t *testing.T) {
	top := tree(t, "1/a.txt", "2/a.txt", "current->1")
	d, err := New([]string{top + "/current", top + "/later"})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(name, want string) {
		t.Helper()
		if got, err := read(d, "X-Sendfile", top+name); got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	ask("/current/a.txt", "1/a.txt")
	if list := d.Unused(); len(list) != 1 || !strings.Contains(list[0].Error(), "later") {
		t.Errorf("unused: %v", list)
	}
	for _, err := range []error{
		os.Remove(top + "/current"), os.Symlink("2", top+"/current"),
		os.Mkdir(top+"/later", 0o755), os.WriteFile(top+"/later/b.txt", []byte("b"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ask("/current/a.txt", "2/a.txt")
	ask("/later/b.txt", "b")
}

func TestNewErrors(t *testing.T) {
	for _, entry := range []string{"", "/", "/x=/", "x=/srv", "=/srv", "/a/../b=/srv", "//x=/srv", "/srv\n"} {
		if _, err := New([]string{entry}); err == nil || !strings.HasPrefix(err.Error(), `sendfile "`) {
			t.Errorf("%q: %v", entry, err)
		}
	}
	if _, err := New([]string{"files", "a=b", "/x=/srv/a=b", "/=/srv"}); err != nil {
		t.Error(err)
	}
}

// Whatever is asked for, nothing outside is opened.
func FuzzOpen(f *testing.F) {
	top := tree(f, "files/a.txt", "files/sub/b.txt", "secret.txt", "files/out->../secret.txt", "files/up->..", "files/in->TOP/files/sub", "media/m.txt")
	d, err := New([]string{top + "/files", "/p=" + top + "/files", "/p/m=" + top + "/media"})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{top + "/files/a.txt", "/p/sub/b.txt", "/p/m/m.txt", "/p/../../secret.txt", "/p/%2e%2e/x", "/p/up/secret.txt", "a.txt", "/p/out", "/p//in/b.txt?x", top + "/files/up/secret.txt"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, field := range Fields {
			got, err := read(d, field, value)
			if err == nil && !strings.HasPrefix(got, "files/") && !strings.HasPrefix(got, "media/") {
				t.Errorf("%s: %q opens %q", field, value, got)
			}
		}
	})
}

package cgi

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
)

// phpRoot is a site with everything that has fooled a script lookup.
func phpRoot(t *testing.T) string {
	root := t.TempDir()
	for _, name := range []string{
		"index.php", "doku.php", "UPPER.PHP", "style.css", "upload/image.jpg", "sub/index.php", "sub/deep/page.php",
		"dir.php/real.php", "noindex/a.txt", "static/index.html", ".htaccess", ".git/config",
		".well-known/security.txt", "old.php.bak", "lib.phtml", "old.php5", "\u212a.php", "sub/\xe9.php",
	} {
		writeFile(t, root, name, 0o644)
	}
	writeFile(t, root, "odd/index.php/x", 0o644) // an index that is a directory
	if err := syscall.Mkfifo(filepath.Join(root, "fifo.php"), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestPHPScripts(t *testing.T) {
	root := phpRoot(t)
	for _, mount := range []string{"", "/wiki"} {
		m := newMapper(t, Config{Preset: PresetPHP, Root: root, Mount: mount, Index: []string{"index.php", "index.html"}})
		for _, test := range []struct{ target, script, pathInfo string }{
			{"/", "/index.php", absent},
			{"/doku.php", "/doku.php", absent},
			{"/doku.php/", "/doku.php", "/"},
			{"/doku.php/start/page", "/doku.php", "/start/page"},
			{"/doku.php/a%2fb%2541", "/doku.php", "/a/b%41"},
			{"/doku.php//a//b", "/doku.php", "//a//b"},
			{"/doku.php/x.php/y", "/doku.php", "/x.php/y"},
			{"//doku.php/x", "/doku.php", "/x"},
			{"/sub//deep///page.php", "/sub/deep/page.php", absent},
			{"/sub/", "/sub/index.php", absent},
			{"///", "/index.php", absent},
			{"/sub//", "/sub/index.php", absent},
			{"/sub/../doku.php", "/doku.php", absent},
			{"/UPPER.PHP/x", "/UPPER.PHP", "/x"},
			{"/dir.php/real.php/x", "/dir.php/real.php", "/x"},
			{"/%E2%84%AA.php/x", "/\u212a.php", "/x"}, // KELVIN SIGN: "k" in lower case, two bytes shorter
			{"/sub/%E9.php", "/sub/\xe9.php", absent}, // names need not be UTF-8
		} {
			translated := absent
			if test.pathInfo != absent {
				translated = root + test.pathInfo
			}
			uri := mount + test.script
			if test.pathInfo != absent {
				uri += test.pathInfo
			}
			t.Logf("%s%s", mount, test.target)
			wantVars(t, vars(t, m, get(t, mount+test.target), 0), map[string]string{
				"SCRIPT_NAME": mount + test.script, "SCRIPT_FILENAME": root + test.script,
				"PATH_INFO": test.pathInfo, "PATH_TRANSLATED": translated, "DOCUMENT_URI": uri,
				"DOCUMENT_ROOT": root, "REDIRECT_STATUS": "200", "REQUEST_URI": mount + test.target,
			})
		}
	}
}

func TestPHPRefusals(t *testing.T) {
	m := newMapper(t, Config{Preset: PresetPHP, Root: phpRoot(t), Index: []string{"index.php", "index.html"}})
	for _, test := range []struct {
		target string
		status int
		file   string
	}{
		{"/missing.php", 404, ""},
		{"/missing.php/doku.php", 404, ""},
		{"/doku.phpx", 404, ""},
		{"/doku.php.", 404, ""},
		{"/doku.php%20", 404, ""},
		{"/upload/image.jpg/x.php", 404, ""}, // cgi.fix_pathinfo would run the image
		{"/upload/image.jpg%00.php", 400, ""},
		{"/doku.php%0a/x", 400, ""}, // CVE-2019-11043
		{"/fifo.php", 404, ""},
		{"/../doku.php", 400, ""},
		{"/noindex/", 404, ""},
		{"/odd/", 404, ""},
		{"/dir.php/", 404, ""},
		{"/doku.PHP", 404, ""}, // another file where names have case
		{"/style.css", 404, "style.css"},
		{"//style.css", 404, "style.css"},
		{"/sub/../style.css", 404, "style.css"},
		{"/upload/image.jpg", 404, "upload/image.jpg"},
		{"/static/", 404, "static/index.html"},
		{"/style.css/", 404, ""},
		{"/style.css/x", 404, ""},
		{"/.htaccess", 404, ""},
		{"/.git/config", 404, ""},
		{"/.well-known/security.txt", 404, ".well-known/security.txt"},
		{"/lib.phtml", 403, ""},
		{"/old.php5", 403, ""},
		{"/old.php.bak", 404, ""},
	} {
		r := get(t, test.target)
		refused := wantRefused(t, m, r, test.status)
		if refused.File != test.file {
			t.Errorf("%s: file %q, want %q", test.target, refused.File, test.file)
		}
		name, ok := m.StaticFile(r)
		if name != test.file || ok != (test.file != "") {
			t.Errorf("%s: StaticFile is %q, %v, want %q", test.target, name, ok, test.file)
		}
	}
}

func TestNoScriptIsAStaticFile(t *testing.T) {
	m := newMapper(t, Config{Preset: PresetPHP, Root: phpRoot(t)})
	for _, target := range []string{"/doku.php", "/", "/sub", "/UPPER.PHP", "/doku.php/style.css"} {
		if name, ok := m.StaticFile(get(t, target)); ok || name != "" {
			t.Errorf("%s: StaticFile is %q", target, name)
		}
	}
	app := newMapper(t, Config{Root: phpRoot(t)})
	if name, ok := app.StaticFile(get(t, "/style.css")); ok {
		t.Errorf("app: StaticFile is %q", name)
	}
}

func TestDirectoryWithoutSlash(t *testing.T) {
	root := phpRoot(t)
	writeFile(t, root, "evil.example/index.php", 0o644)
	writeFile(t, root, "a b?#%/index.php", 0o644)
	for _, test := range []struct{ mount, target, want string }{
		{"", "/sub", "/sub/"},
		{"", "/sub?x=1&y=%2F", "/sub/?x=1&y=%2F"},
		{"", "//evil.example", "/evil.example/"},
		{"", "/a%20b%3F%23%25", "/a%20b%3F%23%25/"},
		{"/wiki", "/wiki", "/wiki/"},
		{"/wiki", "/wiki/sub", "/wiki/sub/"},
		{"/w iki", "/w%20iki?q", "/w%20iki/?q"},
	} {
		m := newMapper(t, Config{Preset: PresetPHP, Root: root, Mount: test.mount})
		refused := wantRefused(t, m, get(t, test.target), http.StatusMovedPermanently)
		if refused.Location != test.want {
			t.Errorf("%s: Location %q, want %q", test.target, refused.Location, test.want)
		}
	}
}

func TestCGIScripts(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"gitweb.cgi", "cgit", "bin/deep/tool.pl"} {
		writeFile(t, root, name, 0o755)
	}
	for _, name := range []string{"static/gitweb.css", "plain.cgi", "plain.sh"} {
		writeFile(t, root, name, 0o644)
	}
	if err := syscall.Mkfifo(filepath.Join(root, "fifo.cgi"), 0o755); err != nil {
		t.Fatal(err)
	}
	m := newMapper(t, Config{Preset: PresetCGI, Root: root, Mount: "/git"})
	for _, test := range []struct{ target, script, pathInfo string }{
		{"/git/gitweb.cgi", "/gitweb.cgi", absent},
		{"/git/gitweb.cgi/", "/gitweb.cgi", "/"},
		{"/git/gitweb.cgi/project.git/blob/HEAD:/a/b.c", "/gitweb.cgi", "/project.git/blob/HEAD:/a/b.c"},
		{"/git/cgit/repo.git/tree/src//main.c", "/cgit", "/repo.git/tree/src//main.c"},
		{"/git//bin/deep/tool.pl/x", "/bin/deep/tool.pl", "/x"},
	} {
		wantVars(t, vars(t, m, get(t, test.target), 0), map[string]string{
			"SCRIPT_NAME": "/git" + test.script, "SCRIPT_FILENAME": root + test.script, "PATH_INFO": test.pathInfo,
		})
	}
	for _, test := range []struct {
		target string
		status int
		file   string
	}{
		{"/git", 404, ""},
		{"/git/", 404, ""},
		{"/git/bin", 404, ""},
		{"/git/missing/gitweb.cgi", 404, ""},
		{"/git/static/gitweb.css", 404, "static/gitweb.css"},
		{"/git/static/gitweb.css/x", 404, ""},
		{"/git/plain.cgi", 403, ""},
		{"/git/fifo.cgi", 404, ""},
		{"/git/plain.sh", 403, ""},
	} {
		if refused := wantRefused(t, m, get(t, test.target), test.status); refused.File != test.file {
			t.Errorf("%s: file %q, want %q", test.target, refused.File, test.file)
		}
	}
}

func TestCGIIndex(t *testing.T) {
	root := t.TempDir()
	writeFile(t, root, "cgit.cgi", 0o755)
	m := newMapper(t, Config{Preset: PresetCGI, Root: root, Mount: "/cgit", Index: []string{"cgit.cgi"}})
	wantVars(t, vars(t, m, get(t, "/cgit/"), 0), map[string]string{"SCRIPT_NAME": "/cgit/cgit.cgi", "PATH_INFO": absent})
	wantRefused(t, m, get(t, "/cgit"), http.StatusMovedPermanently)
}

func TestScriptsBehindSymlinks(t *testing.T) {
	dir := t.TempDir()
	root, plugins, secret := filepath.Join(dir, "www"), filepath.Join(dir, "plugins"), filepath.Join(dir, "secret")
	writeFile(t, root, "doku.php", 0o644)
	writeFile(t, plugins, "acl/run.php", 0o644)
	writeFile(t, secret, "key.php", 0o644)
	symlink(t, "doku.php", filepath.Join(root, "alias.php"))
	symlink(t, plugins, filepath.Join(root, "lib/plugins"))
	symlink(t, secret, filepath.Join(root, "leak"))
	symlink(t, "../secret/key.php", filepath.Join(root, "key.php"))
	symlink(t, "nowhere.php", filepath.Join(root, "dangling.php"))
	symlink(t, "loop.php", filepath.Join(root, "loop.php"))
	m := newMapper(t, Config{Preset: PresetPHP, Root: root, Follow: []string{plugins}})

	for target, script := range map[string]string{
		"/alias.php": "/alias.php", "/lib/plugins/acl/run.php/x": "/lib/plugins/acl/run.php",
	} {
		wantVars(t, vars(t, m, get(t, target), 0), map[string]string{"SCRIPT_FILENAME": root + script})
	}
	wantRefused(t, m, get(t, "/leak/key.php"), http.StatusForbidden)
	wantRefused(t, m, get(t, "/leak/"), http.StatusForbidden)
	wantRefused(t, m, get(t, "/key.php"), http.StatusForbidden)
	wantRefused(t, m, get(t, "/dangling.php"), http.StatusNotFound)
	wantRefused(t, m, get(t, "/loop.php"), http.StatusNotFound)
}

// Who runs the tests as root may look everywhere, so the errors are given here.
func TestLookupErrors(t *testing.T) {
	m := newMapper(t, Config{Preset: PresetPHP, Root: t.TempDir()})
	s, err := m.search(get(t, "/x"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, test := range []struct {
		err    error
		status int // 0: no refusal, trouble of the server's own
	}{
		{fs.ErrNotExist, 404},
		{syscall.ENOTDIR, 404},
		{syscall.EACCES, 403},
		{fmt.Errorf("x: %w", ErrOutsideRoot), 403},
		{fs.ErrInvalid, 400},
		{syscall.EMFILE, 0},
		{syscall.EIO, 0},
	} {
		status := 0
		err := s.statError("/x", &fs.PathError{Op: "stat", Path: "x", Err: test.err})
		if refused, ok := errors.AsType[*RequestError](err); ok {
			status = refused.Status
		}
		if status != test.status || err == nil {
			t.Errorf("%v: got %v, want status %d", test.err, err, test.status)
		}
	}
}

func TestTroubleWithTheRootIsNoRequestError(t *testing.T) {
	root := t.TempDir()
	m := newMapper(t, Config{Preset: PresetPHP, Root: root})
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := m.Vars(nil, get(t, "/x.php"), &Client{}, 0)
	if _, refused := errors.AsType[*RequestError](err); err == nil || refused {
		t.Errorf("got %v, want an error of the server's own", err)
	}
}

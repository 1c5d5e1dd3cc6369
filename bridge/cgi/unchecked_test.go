package cgi

import (
	"net/http"
	"testing"
)

// Where the files cannot be seen, the path says what the script is. Nothing is looked at:
// the root is not there.
func TestUncheckedPHP(t *testing.T) {
	const root = "/nowhere/app"
	plain := newMapper(t, Config{Preset: PresetPHP, Root: root, Unchecked: true, Mount: "/m", Hide: []string{"/data"}})
	front := newMapper(t, Config{Preset: PresetPHP, Root: root, Unchecked: true, Mount: "/m", Hide: []string{"/data"}, Fallback: "/index.php"})
	for _, test := range []struct {
		target, script, pathInfo string
		front                    string // the script with a front controller, if it is another one
	}{
		{"/m/", "/index.php", absent, ""},
		{"/m/a.php", "/a.php", absent, ""},
		{"/m/a.php/x/y.php", "/a.php", "/x/y.php", ""},
		{"/m/A.PHP/", "/A.PHP", "/", ""},
		{"/m//sub///a.php//x", "/sub/a.php", "//x", ""},
		{"/m/sub/", "/sub/index.php", absent, "/index.php"},
		{"/m/v1.2/a.php", "/v1.2/a.php", absent, ""},
		{"/m/x/../a.php", "/a.php", absent, ""},
	} {
		wantVars(t, vars(t, plain, get(t, test.target), 0), map[string]string{
			"SCRIPT_NAME": "/m" + test.script, "SCRIPT_FILENAME": root + test.script, "PATH_INFO": test.pathInfo, "DOCUMENT_ROOT": root,
		})
		if test.front == "" {
			test.front = test.script
		}
		wantVars(t, vars(t, front, get(t, test.target), 0), map[string]string{"SCRIPT_FILENAME": root + test.front})
	}
	for _, target := range []string{"/m/page", "/m/style.css", "/m/a.p"} {
		wantRefused(t, plain, get(t, target), 404)
		wantVars(t, vars(t, front, get(t, target), 0), map[string]string{"SCRIPT_FILENAME": root + "/index.php", "PATH_INFO": absent})
	}
	for target, status := range map[string]int{
		"/m": 301, "/elsewhere/a.php": 404, "/m/data/a.php": 404, "/m/x/../data/a.php": 404, "/m//data//a.php": 404, "/m/.git/a.php": 404, "/m/.a.php": 404,
		"/m/.git/": 404, "/m/.env": 404, "/m/a.php~": 404, "/m/a.php.bak": 404, "/m/lib.phtml": 403, "/m/lib.inc": 403, "/m/a.phpx": 403,
		"/m/upload/image.jpg/a.php": 404, "/m/upload/image.JPG/x/a.php": 404, "/m/lib.inc/a.php": 404, "/m/../../a.php": 400, "/m/a.php%0a": 400, "/m/a%00.php": 400,
	} {
		for _, m := range []*Mapper{plain, front} {
			wantRefused(t, m, get(t, target), status)
			if name, ok := m.StaticFile(get(t, target)); ok {
				t.Errorf("%s may be sent as %s", target, name)
			}
		}
	}
	if list := front.Unused(); len(list) > 0 || !front.Leads("/anything") {
		t.Errorf("%v has no effect", list)
	}
}

func TestUncheckedCGI(t *testing.T) {
	m := newMapper(t, Config{Preset: PresetCGI, Root: "/nowhere", Unchecked: true, Index: []string{"cgit.cgi"}})
	for _, test := range []struct{ target, script, pathInfo string }{
		{"/cgit.cgi/little.git/tree/.gitignore", "/cgit.cgi", "/little.git/tree/.gitignore"},
		{"/bin/tool.pl", "/bin/tool.pl", absent},
		{"/", "/cgit.cgi", absent},
	} {
		wantVars(t, vars(t, m, get(t, test.target), 0), map[string]string{"SCRIPT_NAME": test.script, "SCRIPT_FILENAME": "/nowhere" + test.script, "PATH_INFO": test.pathInfo})
	}
	for _, target := range []string{"/.git/hooks/x.sh", "/program/x", "/a.html/x.cgi"} {
		wantRefused(t, m, get(t, target), http.StatusNotFound)
	}
}

// The pages of PHP-FPM itself are scripts without a file.
func TestVirtualScripts(t *testing.T) {
	root := t.TempDir()
	writeFile(t, root, "index.php", 0o644)
	writeFile(t, root, "status", 0o644) // a file of that name does not matter
	for _, unchecked := range []bool{false, true} {
		m := newMapper(t, Config{Preset: PresetPHP, Root: root, Unchecked: unchecked, Mount: "/m", Virtual: []string{"/ping", "/m/status"}, Fallback: "/index.php"})
		for _, name := range []string{"/ping", "/status"} {
			wantVars(t, vars(t, m, get(t, "/m"+name+"?full"), 0), map[string]string{
				"SCRIPT_NAME": "/m" + name, "SCRIPT_FILENAME": root + name, "PATH_INFO": absent, "QUERY_STRING": "full",
			})
			if _, ok := m.StaticFile(get(t, "/m"+name)); ok {
				t.Errorf("%s is a static file", name)
			}
		}
		for _, target := range []string{"/m/ping/x", "/m/pingx", "/m/ping/"} {
			if got := vars(t, m, get(t, target), 0)["SCRIPT_NAME"]; got != "/m/index.php" && got != "/m/ping/index.php" {
				t.Errorf("%s is %s", target, got)
			}
		}
	}
}

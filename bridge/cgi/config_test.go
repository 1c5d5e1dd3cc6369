package cgi

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigErrorsNameTheKey(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		cfg  Config
		want string // the error starts with it
	}{
		{Config{Preset: "perl"}, `cgi: preset "perl": must be "app", "php" or "cgi"`},
		{Config{Mount: "sandbox"}, `cgi: mount "sandbox": must start with "/"`},
		{Config{Mount: "/a/../b"}, `cgi: mount "/a/../b"`},
		{Config{Mount: "/a//b"}, `cgi: mount "/a//b"`},
		{Config{Mount: "/a\nb"}, `cgi: mount "/a\nb"`},
		{Config{Preset: "php"}, `cgi: root: preset "php" needs`},
		{Config{Preset: "cgi"}, `cgi: root: preset "cgi" needs`},
		{Config{Root: dir + "\n"}, `cgi: root or follow "`},
		{Config{Follow: []string{dir}}, `cgi: follow: means nothing with preset "app"`},
		{Config{Root: dir, Follow: []string{dir}}, `cgi: follow: means nothing with preset "app"`},
		{Config{Index: []string{"index.php"}}, `cgi: index: preset "app"`},
		{Config{Preset: "php", Root: dir, Index: []string{"../index.php"}}, `cgi: index "../index.php"`},
		{Config{Preset: "php", Root: dir, Index: []string{"."}}, `cgi: index "."`},
		{Config{Preset: "php", Root: dir, Index: []string{"a/.b.php"}}, `cgi: index "a/.b.php": can stand for no directory`},
		{Config{Preset: "php", Root: dir, Fallback: "/.a/b.php"}, `cgi: fallback "/.a/b.php": can answer nothing`},
		{Config{Preset: "php", Root: dir, Fallback: "/a/b.php", Hide: []string{"/a"}}, `cgi: fallback "/a/b.php": can answer nothing`},
		{Config{Preset: "php", Root: dir, Mount: "/m", Fallback: "/a.php", Hide: []string{"/m/a.php"}}, `cgi: fallback "/a.php": can answer nothing`},
		{Config{Mount: "/m/n", Hide: []string{"/m/n"}}, `cgi: hide "/m/n": hides everything, the mount is "/m/n"`},
		{Config{Mount: "/m/n", Hide: []string{"/m"}}, `cgi: hide "/m": hides everything`},
		{Config{Hide: []string{"/data*"}}, `cgi: hide "/data*": can match nothing`},
		{Config{Hide: []string{"/data/*"}}, `cgi: hide "/data/*": ends in *: write "/data"`},
		{Config{Root: dir, StaticDirs: []string{"/*/a"}}, `cgi: static_dirs "/*/a": a directory has one path`},
		{Config{Hide: []string{"/data?a"}}, `cgi: hide "/data?a": can match nothing`},
		{Config{Hide: []string{"/a%20b"}}, `cgi: hide "/a%20b": can match nothing`},
		{Config{Hide: []string{"/a\nb"}}, `cgi: hide "/a\nb": must not hold`},
		{Config{Env: map[string]string{"A=B": "x"}}, `cgi: env "A=B"`},
		{Config{Env: map[string]string{"": "x"}}, `cgi: env ""`},
		{Config{Env: map[string]string{"A": "x\x00"}}, `cgi: env A: `},
		{Config{Env: map[string]string{"A": "x\r\n"}}, `cgi: env A: `},
		{Config{TrustedProxies: []string{"localhost"}}, `cgi: trusted_proxies "localhost"`},
		{Config{TrustedProxies: []string{"10.0.0.0/33"}}, `cgi: trusted_proxies "10.0.0.0/33"`},
		{Config{UserHeader: "X_User"}, `cgi: user_header "X_User": a name is letters`},
		{Config{UserHeader: "authorization"}, `cgi: user_header "authorization": has a meaning of its own`},
		{Config{Software: "a\nb"}, `cgi: software "a\nb"`},
		{Config{AppRoot: "/app"}, `cgi: app_root: means nothing without root`},
		{Config{Root: dir, AppRoot: "app"}, `cgi: app_root "app": must be an absolute path`},
		{Config{Root: dir, AppRoot: "/app/"}, `cgi: app_root "/app/": must be`},
		{Config{Root: dir, AppRoot: "/a\nb"}, `cgi: app_root "/a\nb": must be`},
		{Config{Root: dir, AppRoot: "/app", KeepRootSymlink: true}, `cgi: app_root: means nothing while resolve_root_symlink is off`},
		{Config{Root: dir, AppRoot: "/app", Unchecked: true}, `cgi: app_root: means nothing while check_files is off`},
		{Config{Preset: "php", Root: "www", Unchecked: true}, `cgi: root "www": must be an absolute path`},
		{Config{Preset: "php", Root: "/srv/../www", Unchecked: true}, `cgi: root "/srv/../www": must be`},
		{Config{Preset: "php", Root: dir, Unchecked: true, Follow: []string{dir}}, `cgi: follow: means nothing while check_files is off`},
		{Config{Preset: "php", Root: dir, Unchecked: true, Index: []string{"index.html"}}, `cgi: index "index.html": can stand for no directory while`},
		{Config{Preset: "php", Root: dir, Unchecked: true, Static: "usual"}, `cgi: static: files below the root cannot be sent`},
		{Config{Preset: "php", Root: dir, Unchecked: true, StaticTypes: []string{"zip"}}, `cgi: static_types: files below`},
		{Config{Virtual: []string{"/ping"}}, `cgi: virtual: preset "app" has no files`},
		{Config{Preset: "php", Root: dir, Virtual: []string{"ping"}}, `cgi: virtual "ping": must be a script's path`},
		{Config{Preset: "php", Root: dir, Virtual: []string{"/"}}, `cgi: virtual "/": must be`},
		{Config{Preset: "php", Root: dir, Virtual: []string{"/ping?full"}}, `cgi: virtual "/ping?full": can match nothing`},
		{Config{Preset: "php", Root: dir, Virtual: []string{"/.ping"}}, `cgi: virtual "/.ping": can match nothing`},
		{Config{Preset: "php", Root: dir, Virtual: []string{"/ping"}, Hide: []string{"/ping"}}, `cgi: virtual "/ping": can match nothing, hide`},
		{Config{Static: "some"}, `cgi: static "some": must be "off", "usual" or "all"`},
		{Config{Static: "usual"}, `cgi: static: there is no root`},
		{Config{StaticTypes: []string{"css"}}, `cgi: static_types: there is no root`},
		{Config{StaticDirs: []string{"/img"}}, `cgi: static_dirs: there is no root`},
		{Config{Root: dir, Static: "all", StaticTypes: []string{"zip"}}, `cgi: static: is "all"`},
		{Config{Root: dir, Static: "off", StaticTypes: []string{"zip"}}, `cgi: static: is "off"`},
		{Config{Static: "off", StaticDirs: []string{"/img=/srv"}}, `cgi: static: is "off"`},
		{Config{Root: dir, StaticTypes: []string{""}}, `cgi: static_types "": want`},
		{Config{Root: dir, StaticTypes: []string{"tar.gz"}}, `cgi: static_types "tar.gz": want`},
		{Config{Root: dir, StaticTypes: []string{"*"}}, `cgi: static_types "*": want`},
		{Config{Root: dir, StaticTypes: []string{".PHP"}}, `cgi: static_types ".PHP": such files are never sent`},
		{Config{Root: dir, StaticTypes: []string{"bak"}}, `cgi: static_types "bak": such files are never sent`},
		{Config{Root: dir, StaticTypes: []string{"inc"}}, `cgi: static_types "inc": such files are never sent`},
		{Config{Preset: "cgi", Root: dir, StaticTypes: []string{"pl"}}, `cgi: static_types "pl": such files are never sent`},
		{Config{Root: dir, StaticDirs: []string{"img"}}, `cgi: static_dirs "img": want a path`},
		{Config{Root: dir, StaticDirs: []string{"/img*"}}, `cgi: static_dirs "/img*": can match nothing`},
		{Config{Root: dir, StaticDirs: []string{"/.git"}}, `cgi: static_dirs "/.git": can match nothing`},
		{Config{Root: dir, StaticDirs: []string{"/img="}}, `cgi: static_dirs "/img=": want a directory`},
		{Config{StaticDirs: []string{"/img=/"}}, `cgi: static_dirs "/img=/": is the whole machine`},
		{Config{StaticDirs: []string{"/img=/srv/.."}}, `cgi: static_dirs "/img=/srv/..": is the whole machine`},
		{Config{Root: dir, StaticDirs: []string{"/a/b"}, Hide: []string{"/a"}}, `cgi: static_dirs "/a/b": can match nothing, hide`},
		{Config{Preset: "php", Root: dir, Static: "usual", Index: []string{"index.php", "a.txt"}}, `cgi: index "a.txt": can stand for no directory`},
		{Config{Preset: "php", Root: dir, Static: "off", Index: []string{"index.html"}}, `cgi: index "index.html": can stand for no directory`},
	} {
		m, err := NewMapper(test.cfg)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || m != nil {
			t.Errorf("%+v: got %v, want %s", test.cfg, err, test.want)
		}
	}
}

// Directories that are not there are an error for who asks.
func TestCheckDirectories(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone")
	writeFile(t, dir, "file", 0o644)
	for _, test := range []struct {
		cfg  Config
		want string // the error starts with it; "": there is none
	}{
		{Config{}, ""},
		{Config{Preset: "php", Root: dir, Follow: []string{dir}, StaticDirs: []string{"/img=" + dir}}, ""},
		{Config{Preset: "php", Root: gone, Unchecked: true}, ""},
		{Config{Root: gone}, "cgi: root: "},
		{Config{Root: filepath.Join(dir, "file")}, "cgi: root: "},
		{Config{Preset: "php", Root: dir, Follow: []string{gone}}, "cgi: follow: "},
		{Config{StaticDirs: []string{"/img=" + gone}}, "cgi: static_dirs: "},
		{Config{Preset: "perl"}, "cgi: preset "},
	} {
		err := test.cfg.CheckDirectories()
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want %s", test.cfg, err, test.want)
		}
	}
}

func TestMapperWithoutRoot(t *testing.T) {
	m := newMapper(t, Config{})
	if m.Root() != nil {
		t.Error("there is a Root")
	}
	dir := t.TempDir()
	if m := newMapper(t, Config{Root: dir}); m.Root().Dir() != dir {
		t.Errorf("Root is %q, want %q", m.Root().Dir(), dir)
	}
}

func TestRelativeRoot(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "www/x.php", 0o644)
	t.Chdir(dir)
	m := newMapper(t, Config{Preset: PresetPHP, Root: "www/"})
	wantVars(t, vars(t, m, get(t, "/x.php"), 0), map[string]string{
		"DOCUMENT_ROOT": filepath.Join(dir, "www"), "SCRIPT_FILENAME": filepath.Join(dir, "www/x.php"),
	})
}

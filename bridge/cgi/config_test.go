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
		{Config{Root: filepath.Join(dir, "gone")}, `cgi: root: `},
		{Config{Root: dir + "\n"}, `cgi: root or follow "`},
		{Config{Root: dir, Follow: []string{filepath.Join(dir, "gone")}}, `cgi: follow: `},
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
	} {
		m, err := NewMapper(test.cfg)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || m != nil {
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

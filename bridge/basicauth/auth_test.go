package basicauth

import (
	"bytes"
	"context"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run()) // the fuzzer leaves a goroutine behind
	}
	os.Exit(leakcheck.Main(m))
}

// What Apache's htpasswd 2.4 and OpenSSL make of "pass:wörd", bcrypt at its lowest cost.
const (
	bcryptJane = "$2y$04$wot8qzGfK3Kuum463r7dZe4mD3vkPh6BR22REfLIV3Q7UhuRl8Prq"
	apr1Jane   = "$apr1$c4WT/8PV$Dw6fGmeiNcUPgq4jvUMES/"
	sha1Jane   = "{SHA}NMfTLf4kql4x98PMVl16orqGin0="
	sha256Jane = "$5$JGbCEauMdubnjyag$sxd8DvS148vZnaVlN1g4JC22Yv/oU8lyGUGl9b4Xm/6"
	sha512Jane = "$6$Y5V.Xs3u8iEMzykR$5fSe5Dp4yiY2hEnqlsao8LA5KEXqXIyiEKjn2mw9Y7OmTGh9PKRAUIHGUeh9Afo3j3.5lk.Ztt8AZPbv2HRqs1"
	sha512Abc  = "$6$abc$TKIm3VEH6vqGIsnKSQ04rIIkxYvnv3itGgItcJK4wijjZxy2er64Soua/s.paIHSqrhz21dWBPx1jQxJlaZTy0"
	md5Abc     = "$1$abc$tiK94HFSZlkeooJw/6kIp."
	password   = "pass:wörd"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newAuth(t *testing.T, text string, cfg Config) (*Auth, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	if cfg.File == "" {
		cfg.File = filepath.Join(t.TempDir(), "htpasswd")
		write(t, cfg.File, text)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a, &log
}

// as is a request for target with a name and a password.
func as(target, name, password string) *http.Request {
	r := httptest.NewRequest("GET", target, nil)
	r.SetBasicAuth(name, password)
	return r
}

func identify(a *Auth, r *http.Request) cgi.Client {
	c := cgi.Client{Addr: "192.0.2.7", Scheme: "http"}
	a.Identify(r, &c)
	return c
}

// status is that of the refusal, 200 if there is none.
func status(c cgi.Client) int {
	if c.Refused == nil {
		return 200
	}
	return c.Refused.Status
}

func TestForms(t *testing.T) {
	for name, hash := range map[string]string{
		"bcrypt": bcryptJane, "apr1": apr1Jane, "sha1": sha1Jane, "sha256": sha256Jane, "sha512": sha512Jane, "short salt": sha512Abc, "md5": md5Abc,
	} {
		a, _ := newAuth(t, "# users\n\n  jane:"+hash+":Jane of Accounts\r\njoe:"+apr1Jane+"\n", Config{})
		for _, c := range []struct {
			name, password string
			want           int
		}{
			{"jane", password, 200},
			{"jane", password, 200}, // known
			{"jane", "pass:word", 401},
			{"jane", "", 401},
			{"Jane", password, 401},
			{"nobody", password, 401},
			{"", password, 401},
			{"# users", "", 401},
			{"jane", strings.Repeat("x", maxPassword+1), 401},
			{strings.Repeat("x", maxName+1), "x", 401},
		} {
			got := identify(a, as("/", c.name, c.password))
			if status(got) != c.want || !got.Verified || (c.want == 200) != (got.User == c.name && got.AuthType == "Basic") {
				t.Errorf("%s: %s %q: %+v, want %d", name, c.name, c.password, got, c.want)
			}
		}
	}
}

func TestChallenge(t *testing.T) {
	a, log := newAuth(t, "jane:"+bcryptJane, Config{Realm: `The "Wiki" \ here`})
	for name, header := range map[string][]string{
		"none": nil, "empty": {""}, "not Basic": {"Bearer abc"}, "no base64": {"Basic !"}, "no colon": {"Basic amFuZQ=="},
		"two": {"Basic amFuZTpwYXNzOnfDtnJk", "Basic amFuZTpwYXNzOnfDtnJk"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Authorization"] = header
		c := identify(a, r)
		if status(c) != 401 || c.Refused.Challenge != `Basic realm="The \"Wiki\" \\ here", charset="UTF-8"` || c.User != "" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if log.Len() > 0 {
		t.Errorf("the log tells of log-ins that nobody tried:\n%s", log)
	}
}

func TestPaths(t *testing.T) {
	a, _ := newAuth(t, "jane:"+bcryptJane, Config{Paths: []string{"/login", "/trac/admin"}, Mount: "/trac"})
	for target, want := range map[string]int{
		"/trac/login": 401, "/trac/login/": 401, "/trac/login?x": 401, "/trac/login/x": 401, "/trac/login;a=b": 401,
		"/trac//login": 401, "/trac/./login": 401, "/trac/x/../login": 401, "/trac/%6cogin": 401, "/trac/x/%2e%2e/login": 401,
		"/trac/admin/x": 401, "/login": 401, "/trac/index.php/login": 401, "/trac/sub/Trac.FCGI//login/x": 401, "/trac.cgi/./login": 401,
		"/trac/php/login": 200, "/trac/a.php.d/login": 200, "/trac/index.php/logins": 200, "/trac/index.php": 200,
		"/trac/logins": 200, "/trac": 200, "/trac/wiki/login": 200, "/trac/administer": 200,
	} {
		c := identify(a, httptest.NewRequest("GET", target, nil))
		if status(c) != want || c.Verified != (want == 401) {
			t.Errorf("%s: %+v, want %d", target, c, want)
		}
	}
	// Where no log-in is needed, the field is the application's, and nobody is named.
	if c := identify(a, as("/trac/wiki", "jane", password)); c.User != "" || c.Verified || c.Refused != nil {
		t.Errorf("%+v", c)
	}
	all, _ := newAuth(t, "jane:"+bcryptJane, Config{})
	for _, target := range []string{"/", "/x", "//"} {
		if c := identify(all, httptest.NewRequest("GET", target, nil)); status(c) != 401 {
			t.Errorf("%s: %+v", target, c)
		}
	}
}

// Whom somebody else has refused or named is none of ours.
func TestOthersCome(t *testing.T) {
	a, _ := newAuth(t, "jane:"+bcryptJane, Config{})
	r := httptest.NewRequest("GET", "/", nil)
	bad := &cgi.RequestError{Status: 400}
	c := cgi.Client{Refused: bad}
	if a.Identify(r, &c); c.Refused != bad {
		t.Errorf("%+v", c)
	}
	c = cgi.Client{User: "joe", Trusted: true}
	if a.Identify(r, &c); c.Refused != nil || c.User != "joe" || c.Verified {
		t.Errorf("%+v", c)
	}
}

// No log line holds a password, nor what was typed where a name belongs.
func TestLog(t *testing.T) {
	a, log := newAuth(t, "jane:"+bcryptJane, Config{})
	identify(a, as("/", "jane", "geheim"))
	identify(a, as("/", "geheim", "x"))
	identify(a, as("/", "jane", password))
	want := []string{
		`level=WARN msg="log-in failed: wrong password" client=192.0.2.7 user=jane`,
		`level=WARN msg="log-in failed: no such user" client=192.0.2.7`,
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[0], want[0]) || !strings.HasSuffix(lines[1], want[1]) || strings.Contains(log.String(), "geheim") {
		t.Errorf("%q", lines)
	}
	for range 200 {
		identify(a, as("/", "jane", "wrong"))
	}
	if n := strings.Count(log.String(), "\n"); n > 60 {
		t.Errorf("a flood has made %d lines", n)
	}
}

// A file that changes counts within a second; one that is broken does not.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, log := newAuth(t, "jane:"+bcryptJane+"\n", Config{})
		want := func(what, name string, want int) {
			t.Helper()
			if got := status(identify(a, as("/", name, password))); got != want {
				t.Errorf("%s: %s gets %d, want %d\n%s", what, name, got, want, log)
			}
		}
		want("at first", "jane", 200)
		write(t, a.file, "joe:"+apr1Jane+"\n# long enough to be another size\n")
		want("at once", "jane", 200)
		time.Sleep(checkEvery)
		want("changed", "jane", 401)
		want("changed", "joe", 200)
		if len(a.users.Load().users) != 1 {
			t.Errorf("%d users", len(a.users.Load().users))
		}

		for what, text := range map[string]string{"broken": "joe\n", "empty": "\n\n\n"} {
			before := strings.Count(log.String(), "level=ERROR")
			write(t, a.file, text)
			for range 3 {
				time.Sleep(checkEvery)
				want(what, "joe", 200)
			}
			if n := strings.Count(log.String(), "level=ERROR") - before; n != 1 {
				t.Errorf("%s: the log was told %d times:\n%s", what, n, log)
			}
		}
		if err := os.Remove(a.file); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(checkEvery)
			want("gone", "joe", 200)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 3 {
			t.Errorf("the log has %d errors, want 3:\n%s", n, log)
		}
		write(t, a.file, "jane:"+bcryptJane+"\n")
		time.Sleep(checkEvery)
		want("back", "jane", 200)
		want("back", "joe", 401)
	})
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"":                                     "has no user",
		"# only a comment\n":                   "has no user",
		"jane\n":                               "line 1: has no colon",
		"jane:" + bcryptJane + "\n:x\n":        "line 2: has no valid user name",
		"ja\x01ne:x\n":                         "line 1: has no valid user name",
		"jane:geheim\n":                        `line 1: the password of "jane" is hashed in an unknown way, or not at all: set it anew with htpasswd -B`,
		"jane:eAIh2aA8W9Zxg\n":                 `line 1: the password of "jane" is hashed in an unknown way`,
		"jane:$2y$04$short\n":                  `line 1: the password of "jane" is hashed in an unknown way`,
		"jane:$6$rounds=1000$abc$x\n":          `line 1: the password of "jane" is hashed in an unknown way`,
		"jane:$6$foo$abc$" + sha512Abc[8:]:     `line 1: the password of "jane" is hashed in an unknown way`,
		"jane:{SHA}x\n":                        `line 1: the password of "jane" is hashed in an unknown way`,
		"jane:$2y$31$" + bcryptJane[7:] + "\n": `line 1: the password of "jane" takes too long to verify: its cost is 31, want at most 16`,
		"jane:$6$rounds=999999999$abc$" + sha512Abc[7:] + "\n": `line 1: the password of "jane" takes too long`,
		"jane:" + bcryptJane + "\n\njane:" + bcryptJane + "\n": `line 3: user "jane" is there twice`,
		"jane:" + strings.Repeat("x", 1<<20):                   "has a line that is too long",
	} {
		file := filepath.Join(dir, "htpasswd")
		write(t, file, text)
		_, err := New(Config{File: file})
		if err == nil || !strings.HasPrefix(err.Error(), "auth: file: "+file+": "+want) || strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "abc$") {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
	write(t, filepath.Join(dir, "good"), "jane:"+bcryptJane)
	for want, cfg := range map[string]Config{
		"no such file":            {File: filepath.Join(dir, "gone")},
		"is not a file":           {File: dir},
		`auth: realm "a\nb"`:      {File: filepath.Join(dir, "good"), Realm: "a\nb"},
		`cgi: path "login": want`: {File: filepath.Join(dir, "good"), Paths: []string{"login"}},
		`can match nothing`:       {File: filepath.Join(dir, "good"), Paths: []string{"/login*"}},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", cfg, err, want)
		}
	}
	huge := filepath.Join(dir, "huge")
	write(t, huge, "")
	if err := os.Truncate(huge, maxFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{File: huge}); err == nil || !strings.Contains(err.Error(), "want at most") {
		t.Error(err)
	}
}

// A client that leaves while passwords are checked is no wrong password.
func TestClientThatLeaves(t *testing.T) {
	a, _ := newAuth(t, "jane:"+bcryptJane, Config{})
	for range cap(a.verifier.slots) {
		a.verifier.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c := identify(a, as("/", "jane", password).WithContext(ctx)); status(c) != 503 {
		t.Errorf("%+v", c)
	}
	<-a.verifier.slots
	if c := identify(a, as("/", "jane", password)); status(c) != 200 {
		t.Errorf("%+v", c)
	}
}

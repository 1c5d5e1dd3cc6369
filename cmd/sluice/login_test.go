package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/config"
)

func TestPasswordsInTheClear(t *testing.T) {
	everywhere, here := &net.TCPAddr{IP: net.IPv6unspecified, Port: 80}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}
	for name, c := range map[string]struct {
		file    string
		listen  net.Addr
		trusted []string
		want    bool
	}{
		"to everybody":    {"f", everywhere, nil, true},
		"to this machine": {"f", here, nil, false},
		"on a socket":     {"f", &net.UnixAddr{Name: "/s", Net: "unix"}, nil, false},
		"behind a proxy":  {"f", everywhere, []string{"10.0.0.1"}, false},
		"no passwords":    {"", everywhere, nil, false},
	} {
		s := &config.HostedSite{Auth: config.Login{File: c.file}, Site: config.Site{TrustedProxies: c.trusted}}
		if got := unencrypted(s, c.listen); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Files need the log-in that scripts need.
func TestFilesNeedTheLogin(t *testing.T) {
	root, _ := tree(t)
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("jane:{SHA}NMfTLf4kql4x98PMVl16orqGin0=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, _ := testFront(t, &config.HostedSite{
		Auth: config.Login{File: users, Paths: []string{"/img", "/index.php"}}, Site: config.Site{Root: root, Static: "usual"},
	})
	for _, c := range []struct {
		path, password string
		want           int
	}{
		{"/style.css", "", 200},
		{"/img/LOGO.PNG", "", 401},
		{"/img/../img/LOGO.PNG", "", 401},
		{"/x/../img/LOGO.PNG", "", 401},
		{"//img/LOGO.PNG", "", 401},
		{"/img/LOGO.PNG", "wrong", 401},
		{"/img/LOGO.PNG", "pass:wörd", 200},
		{"/img/nothing.png", "", 401},
		{"/index.php", "", 401},
		{"/index.php/x", "", 401},
		{"/index.php", "pass:wörd", 502},
	} {
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		if c.password != "" {
			r.SetBasicAuth("jane", c.password)
		}
		w := httptest.NewRecorder()
		if f.ServeHTTP(w, r); w.Code != c.want || (w.Header().Get("WWW-Authenticate") != "") != (c.want == 401) {
			t.Errorf("%s with %q: %d %v, want %d", c.path, c.password, w.Code, w.Header(), c.want)
		}
	}
}

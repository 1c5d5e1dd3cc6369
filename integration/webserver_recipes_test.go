//go:build linux

package integration

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// recipe returns the first indented block of a section of docs/protocols.md, with its paths
// replaced.
func recipe(t *testing.T, section, socket, root string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/protocols.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "\n### "+section+"\n")
	block := regexp.MustCompile(`(?m)\A\n(^    .*\n|^\n)+`).FindString(after)
	if !ok || !strings.Contains(block, "/run/sluice.sock") {
		t.Fatalf("there is no recipe in section %q", section)
	}
	return strings.NewReplacer("/run/sluice.sock", socket, "/srv/wiki", root).Replace(block)
}

// The configurations of docs/protocols.md run as they are written.
func TestWebServerRecipes(t *testing.T) {
	app := startLibfcgi(t, 2)
	_, trac := webGate(t, app)
	fpm := startFPM(t, fpmOptions{root: testdata(t, ""), workers: 2})
	_, wiki := webGate(t, fpm)
	as := func(name string) webServer {
		for _, w := range webServers {
			if w.name == name {
				return w
			}
		}
		t.Fatalf("no %s", name)
		return webServer{}
	}
	for _, tt := range []struct {
		name, socket, before, after, route string
	}{
		{"nginx", trac[false], "daemon off; pid @DIR@/pid; error_log stderr; @USER@ events {}\nhttp { access_log off; client_body_temp_path @DIR@/b; fastcgi_temp_path @DIR@/f; scgi_temp_path @DIR@/s; proxy_temp_path @DIR@/p; uwsgi_temp_path @DIR@/u;\n", "}\n", "/hello"},
		{"lighttpd", trac[false], "server.document-root = \"@ROOT@\"\nserver.bind = \"@HOST@\"\nserver.port = @PORT@\nserver.errorlog = \"/dev/stderr\"\nserver.modules = ()\n", "", "/trac/hello"},
		{"Apache", wiki[false], "ServerRoot /usr/lib/apache2\nServerName localhost\nListen @ADDR@\nPidFile @DIR@/pid\nErrorLog /dev/stderr\nMutex file:@DIR@\nLoadModule mpm_event_module modules/mod_mpm_event.so\nLoadModule proxy_module modules/mod_proxy.so\nLoadModule proxy_fcgi_module modules/mod_proxy_fcgi.so\nLoadModule authz_core_module modules/mod_authz_core.so\nUser www-data\nGroup www-data\nDocumentRoot @ROOT@\n", "", "/routes.php/hello"},
		{"HAProxy", wiki[false], "defaults\n\tmode http\n\ttimeout connect 5s\n\ttimeout client 60s\n\ttimeout server 60s\nfrontend site\n\tbind @ADDR@\n\tdefault_backend wiki\n", "", "/routes.php/hello"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, root := as(tt.name), testdata(t, "")
			w.config = tt.before + recipe(t, tt.name, tt.socket, root) + tt.after
			if tt.name == "nginx" {
				w.config = strings.NewReplacer("    server {\n", "    server {\n listen @ADDR@;\n", "include fastcgi_params", "include /etc/nginx/fastcgi_params").Replace(w.config)
			}
			s := newSite(t, w.start(t, tt.socket, root))
			if got := s.get(t, tt.route); got != "hello\n" {
				t.Errorf("got %q", got)
			}
		})
	}
}

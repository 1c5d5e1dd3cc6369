//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/integration/internal/freeport"
)

// webServer is a web server in front of Sluice, which speaks FastCGI or SCGI to it.
type webServer struct {
	name    string
	program []string
	config  string   // what stands between @ is replaced by start
	args    []string // after the program
	scgi    bool
	// unchunked says that it refuses bodies whose length is not announced.
	unchunked bool
	// deaf says that it does not tell when its client has left, before it has something to send.
	deaf bool
}

const nginxConfig = `
daemon off; pid @DIR@/pid; error_log stderr warn; worker_processes 1; @USER@
events {}
http {
	access_log off; client_max_body_size 100m; large_client_header_buffers 8 32k; fastcgi_buffer_size 64k; fastcgi_buffers 8 64k;
	client_body_temp_path @DIR@/b; fastcgi_temp_path @DIR@/f; scgi_temp_path @DIR@/s; proxy_temp_path @DIR@/p; uwsgi_temp_path @DIR@/u;
	upstream gate { server unix:@SOCKET@; KEEP }
	server {
		listen @ADDR@;
		location ~ ^(/routes\.php)(/.*)$ {
			PROTO_param SCRIPT_NAME $1; PROTO_param PATH_INFO $2; PROTO_param SCRIPT_FILENAME @ROOT@$1;
			PROTO_param QUERY_STRING $query_string; PROTO_param REQUEST_METHOD $request_method; PROTO_param CONTENT_TYPE $content_type;
			PROTO_param CONTENT_LENGTH $content_length; PROTO_param REQUEST_URI $request_uri; PROTO_param SERVER_PROTOCOL $server_protocol;
			PROTO_param REMOTE_ADDR $remote_addr; PROTO_param REMOTE_PORT $remote_port; PROTO_param SERVER_PORT $server_port;
			PROTO_param SERVER_ADDR $server_addr; PROTO_param SERVER_NAME $server_name; PROTO_param TWICE one; PROTO_param TWICE two;
			PROTO_pass gate; PROTO_buffering BUFFERING; PROTO_request_buffering UPLOADS; PROTO_read_timeout 60s;
		}
	}
}
`

func nginx(name, protocol, keep, buffering string) webServer {
	uploads := buffering
	if protocol == "scgi" {
		uploads = "on" // else CONTENT_LENGTH is what has come of the body
	}
	config := strings.NewReplacer("PROTO", protocol, "BUFFERING", buffering, "UPLOADS", uploads, "KEEP", keep).Replace(nginxConfig)
	if protocol == "scgi" {
		config = strings.Replace(config, "scgi_pass", "scgi_param SCGI 1; scgi_pass", 1)
	}
	if keep != "" {
		config = strings.Replace(config, "fastcgi_pass gate;", "fastcgi_pass gate; fastcgi_keep_conn on;", 1)
	}
	return webServer{name: name, program: []string{"nginx", "/usr/sbin/nginx"}, config: config, args: []string{"-c", "@DIR@/conf"}, scgi: protocol == "scgi"}
}

// webServers are the web servers, as they are configured in docs/protocols.md.
var webServers = []webServer{
	nginx("nginx", "fastcgi", "", "off"),
	nginx("nginx with kept connections", "fastcgi", "keepalive 8;", "off"),
	nginx("nginx with SCGI", "scgi", "", "off"),
	{
		name: "lighttpd", program: []string{"lighttpd", "/usr/sbin/lighttpd"}, args: []string{"-D", "-f", "@DIR@/conf"}, deaf: true,
		config: `
server.document-root = "@ROOT@"
server.bind = "@HOST@"
server.port = @PORT@
server.modules = ("mod_fastcgi")
server.errorlog = "/dev/stderr"
server.stream-response-body = 1
server.max-request-field-size = 131072
fastcgi.server = ( ".php" => (( "socket" => "@SOCKET@" )) )
`,
	},
	{
		// Apache ends the kept connections of clients when its threads are all busy, under
		// whatever they are sending then; a POST that meets that is not ours to repeat.
		name: "Apache", program: []string{"apache2", "/usr/sbin/apache2"}, args: []string{"-f", "@DIR@/conf", "-DFOREGROUND"}, deaf: true,
		config: `
ServerRoot /usr/lib/apache2
ServerName localhost
Listen @ADDR@
PidFile @DIR@/pid
ErrorLog /dev/stderr
Mutex file:@DIR@
LoadModule mpm_event_module modules/mod_mpm_event.so
LoadModule proxy_module modules/mod_proxy.so
LoadModule proxy_fcgi_module modules/mod_proxy_fcgi.so
LoadModule authz_core_module modules/mod_authz_core.so
User www-data
Group www-data
LimitRequestFieldSize 131072
KeepAlive Off
DocumentRoot @ROOT@
<Directory @ROOT@>
	Require all granted
	AcceptPathInfo on
	<FilesMatch "\.php$">
		SetHandler "proxy:unix:@SOCKET@|fcgi://localhost"
	</FilesMatch>
</Directory>
<Proxy "fcgi://localhost">
	ProxySet flushpackets=on
</Proxy>
`,
	},
	{
		name: "HAProxy", program: []string{"haproxy", "/usr/sbin/haproxy"}, args: []string{"-db", "-f", "@DIR@/conf"},
		config: haproxyConfig("no option mpxs-conns"), unchunked: true,
	},
	{
		name: "HAProxy, multiplexing", program: []string{"haproxy", "/usr/sbin/haproxy"}, args: []string{"-db", "-f", "@DIR@/conf"},
		config: haproxyConfig("option mpxs-conns"), unchunked: true,
	},
}

func haproxyConfig(option string) string {
	return `
global
	tune.bufsize 65536
defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
	option abortonclose
fcgi-app app
	docroot @ROOT@
	path-info ^(/.+\.php)(/.*)?$
	option keep-conn
	option get-values
	` + option + `
frontend site
	bind @ADDR@
	default_backend gate
backend gate
	use-fcgi-app app
	server gate unix@@SOCKET@ proto fcgi
`
}

// streaming is the web server that passes bodies on while they arrive, if it can be told to.
func (w webServer) streaming() webServer {
	w.config = strings.Replace(w.config, "server.stream-response-body = 1\n", "server.stream-response-body = 1\nserver.stream-request-body = 1\n", 1)
	return w
}

// start runs the web server in front of a gate's socket, with a root, and returns its URL.
func (w webServer) start(t testing.TB, socket, root string) string {
	t.Helper()
	url, _ := w.run(t, socket, root)
	return url
}

// run is start, and also returns the web server's process.
func (w webServer) run(t testing.TB, socket, root string) (url string, p *process) {
	t.Helper()
	dir := socketDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	addr, release, err := freeport.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	host, port, _ := strings.Cut(addr, ":")
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	fill := strings.NewReplacer("@ADDR@", addr, "@HOST@", host, "@PORT@", port, "@DIR@", dir, "@SOCKET@", socket, "@ROOT@", root, "@USER@", user)
	write(t, filepath.Join(dir, "conf"), "%s", fill.Replace(w.config))
	args := make([]string, len(w.args))
	for i, arg := range w.args {
		args[i] = fill.Replace(arg)
	}
	p = start(t, exec.Command(need(t, w.program...), args...))
	awaitAddress(t, p, "tcp", addr)
	return "http://" + addr, p
}

// webGate starts Sluice behind a web server that is to come.
func webGate(t testing.TB, be backend, args ...string) (gate sluice, sockets map[bool]string) {
	t.Helper()
	dir := socketDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	sockets = map[bool]string{false: filepath.Join(dir, "fcgi"), true: filepath.Join(dir, "scgi")}
	be.root = "" // the web server's
	args = append([]string{"--listen", "fcgi+unix:" + sockets[false], "--listen", "scgi+unix:" + sockets[true], "--listen-mode", "0666"}, args...)
	if be.preset == "php" { // with HTTP as well, it would need a root
		args = append(args, "--root", testdata(t, ""))
	}
	return startGate(t, append(args, be.args()...)), sockets
}

// Behind each web server, the application is what it is behind Sluice's own.
func TestWebServers(t *testing.T) {
	be := startFPM(t, fpmOptions{root: testdata(t, ""), workers: 4})
	_, sockets := webGate(t, be)
	for _, w := range webServers {
		t.Run(w.name, func(t *testing.T) {
			s := newSite(t, w.start(t, sockets[w.scgi], be.root)+be.prefix)
			t.Run("variables", func(t *testing.T) {
				resp, body := s.do(t, s.request(t, "GET", "/params/caf%C3%A9%20/z?q=1&p=%20%26", nil))
				got := vars(body)
				for name, want := range map[string]string{
					"QUERY_STRING": "q=1&p=%20%26", "SCRIPT_NAME": "/routes.php", "PATH_INFO": "/params/café /z", "REMOTE_ADDR": "127.0.0.1",
					"SCRIPT_FILENAME": filepath.Join(be.root, "routes.php"),
				} {
					if got[name] != want {
						t.Errorf("%s: %s is %q, want %q", resp.Status, name, got[name], want)
					}
				}
			})
			t.Run("bodies", func(t *testing.T) {
				if !w.unchunked {
					conformBodies(t, s)
				}
				for _, n := range []int{1, 1 << 20} {
					wantBody(t, s.post(t, "/body", random(n)), random(n))
				}
			})
			t.Run("bodiless", func(t *testing.T) { conformBodiless(t, s) })
			t.Run("cookies", func(t *testing.T) { conformCookies(t, s) })
			t.Run("download", func(t *testing.T) { wantPattern(t, s.open(t, t.Context(), "/download?n=8388608").Body, 8<<20) })
			t.Run("stream", func(t *testing.T) { streamThrough(t, s) })
			t.Run("truncated", func(t *testing.T) { conformTruncated(t, s) })
			t.Run("header of 60 KiB", func(t *testing.T) {
				r := s.request(t, "GET", "/params", nil)
				for i := range 4 {
					r.Header.Set(fmt.Sprint("X-Long-", i), strings.Repeat("x", 15<<10))
				}
				if _, body := s.do(t, r); strings.Count(body, strings.Repeat("x", 15<<10)) != 4 {
					t.Errorf("%d bytes: %s", len(body), head(body))
				}
			})
			t.Run("tokens", func(t *testing.T) { sendTokens(t, s, 100) })
		})
	}
}

// streamThrough reads each record before the application writes the next.
func streamThrough(t *testing.T, s site) {
	g := newGate(t)
	resp := s.open(t, t.Context(), "/stream?n=3&kind=events&gate="+g.dir)
	defer resp.Body.Close()
	for i := range 3 {
		wantNext(t, resp.Body, fmt.Sprintf("data: %d\n\n", i))
		g.pass(t)
	}
}

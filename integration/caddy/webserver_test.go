//go:build linux

package caddy

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

const nginxConfig = `
daemon off; pid @DIR@/pid; error_log @DIR@/log warn; worker_processes 1; @USER@
events {}
http {
	access_log off; client_max_body_size 10m;
	client_body_temp_path @DIR@/b; fastcgi_temp_path @DIR@/f; scgi_temp_path @DIR@/s; proxy_temp_path @DIR@/p; uwsgi_temp_path @DIR@/u;
	upstream gate { server unix:@SOCKET@; keepalive 16; }
	server {
		listen @ADDR@;
		location / {
			@PROTO@_param SCRIPT_NAME $uri; @PROTO@_param SCRIPT_FILENAME @ROOT@$uri; @PROTO@_param QUERY_STRING $query_string;
			@PROTO@_param REQUEST_METHOD $request_method; @PROTO@_param CONTENT_TYPE $content_type; @PROTO@_param CONTENT_LENGTH $content_length;
			@PROTO@_param REQUEST_URI $request_uri; @PROTO@_param SERVER_PROTOCOL $server_protocol; @PROTO@_param SERVER_NAME $server_name;
			@PROTO@_param SERVER_PORT $server_port; @PROTO@_param REMOTE_ADDR $remote_addr; @PROTO@_param REMOTE_PORT $remote_port;
			@PROTO@_param OF_NGINX yes; @PROTO@_pass gate; @KEEP@
		}
	}
}
`

// startNginx runs nginx in front of a socket, until the test ends, and returns its URL.
func startNginx(t *testing.T, protocol, socket, root string) (url string) {
	t.Helper()
	const program = "/usr/sbin/nginx"
	if _, err := os.Stat(program); err != nil {
		missing(t, "nginx")
	}
	dir, addr, user, keep := socketDir(t), freeAddress(t), "", ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	if protocol == "fastcgi" {
		keep = "fastcgi_keep_conn on;"
	} else {
		keep = "scgi_param SCGI 1;"
	}
	write(t, filepath.Join(dir, "conf"), strings.NewReplacer("@DIR@", dir, "@ADDR@", addr, "@SOCKET@", socket, "@ROOT@", root, "@USER@", user, "@KEEP@", keep, "@PROTO@", protocol).Replace(nginxConfig))
	cmd := exec.Command(program, "-c", filepath.Join(dir, "conf"))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		_ = cmd.Wait()                                      // with that signal
		if text, err := os.ReadFile(filepath.Join(dir, "log")); err == nil && t.Failed() {
			t.Logf("nginx's log:\n%s", text[max(0, len(text)-4000):])
		}
	})
	awaitListener(t, "tcp", addr)
	return "http://" + addr
}

// within waits for the application to have a request.
func within(t *testing.T, entered <-chan struct{}) {
	t.Helper()
	select {
	case <-entered:
	case <-time.After(patience):
		t.Fatal("the application has got no request")
	}
}

// awaitListener waits until somebody listens at an address.
func awaitListener(t *testing.T, network, addr string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial(network, addr)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// behindNginx starts a Caddy whose site with the directives is reached through nginx only: site s is for
// loading configurations, and site n for requests.
func behindNginx(t *testing.T, protocol, root, directives string, options ...string) (s, n *site, socket string) {
	t.Helper()
	network := map[string]string{"fastcgi": "fcgi+unix", "scgi": "scgi+unix"}[protocol]
	socket = filepath.Join(socketDir(t), "gate")
	s = start(t, webSite(network+"/"+socket, directives), options...)
	behind := *s
	behind.url = startNginx(t, protocol, socket, root)
	return s, &behind, socket
}

// webSite is a site with the directives at an address for web servers. It comes after another one,
// which site.load begins.
func webSite(bind, directives string) string {
	return "respond plain\n}\nhttp:// {\nbind " + bind + "\n" + directives
}

// aboutFiles are the settings that have no effect on requests of web servers.
var aboutFiles = regexp.MustCompile(`,"(root|fallback)":"[^"]*"|,"index":\[[^]]*\]`)

// PHP-FPM is behind Caddy what it is behind nginx: the script is nginx's choice, and bodies arrive whole.
func TestPHPBehindNginx(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "index.php"), `<?php $in = file_get_contents('php://input'); echo $_SERVER['SCRIPT_FILENAME'], ' ', $_SERVER['OF_NGINX'], ' ', $_SERVER['REQUEST_URI'], ' ', strlen($in), ' ', md5($in);`)
	write(t, filepath.Join(root, "style.css"), "a{}")
	for _, protocol := range []string{"fastcgi", "scgi"} {
		t.Run(protocol, func(t *testing.T) {
			s, n, socket := behindNginx(t, protocol, root, fmt.Sprintf("log\nsluice %s {\npreset php\nworkers 2\nroot %s\n}\nfile_server", startFPM(t, 2), root))
			nothing := root + "/index.php yes /index.php?a=b 0 d41d8cd98f00b204e9800998ecf8427e"
			n.want(n.get("/index.php?a=b"), 200, nothing)
			n.want(n.ask("POST", "/index.php", strings.Repeat("x", 1<<20)), 200, root+"/index.php yes /index.php 1048576 b561f87202d04959e37588ee05cf5b10")
			if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
				t.Errorf("the socket is %v, %v", info.Mode(), err)
			}
			if re := n.get("/style.css"); re.body == "a{}" {
				t.Errorf("Caddy sends a file of the web server's: %+v", re)
			}
			if lines := s.logged("http.log.access", `"remote_ip":"127.0.0.1"`, `"uri":"/index.php?a=b"`, `"sluice"`); len(lines) != 1 {
				t.Errorf("the access log has %q", lines)
			}
			// A server that only web servers reach needs no root. A Caddyfile cannot know that.
			raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(s.global()+s.url+" {\n"+s.directives+"\n}\n"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(raw), `"root":"`+root+`"`) {
				t.Fatalf("there is no root in %s", raw)
			}
			if err := caddy.Load(aboutFiles.ReplaceAll(raw, nil), true); err != nil {
				t.Fatal(err)
			}
			n.want(n.get("/index.php?a=b"), 200, nothing)
		})
	}
}

// A log-in that Caddy has checked is what the application sees, and handle_errors answers.
func TestDirectivesBehindNginx(t *testing.T) {
	a := startApp(t, variables("REMOTE_USER", "AUTH_TYPE", "HTTP_AUTHORIZATION", "OF_NGINX"))
	_, s, _ := behindNginx(t, "fastcgi", "/srv", fmt.Sprintf(`
	basic_auth /in* {
		ada $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG
	}
	sluice %s {
		hide /hidden
	}
	handle_errors {
		respond "sorry: {err.status_code}"
	}`, a.addr))
	s.want(s.ask("GET", "/in", "", "Authorization", "Basic YWRhOmhpY2N1cA=="), 200, "REMOTE_USER=ada\nAUTH_TYPE=Basic\nHTTP_AUTHORIZATION=\nOF_NGINX=yes\n") // hiccup
	if re := s.get("/in"); re.status != 401 {
		t.Errorf("without a password: %d", re.status)
	}
	s.want(s.get("/hidden"), 404, "sorry: 404")
}

// Reloads close no connection, so that not even a POST is lost: nginx does not repeat them.
func TestReloadBehindNginx(t *testing.T) {
	const clients, least, reloads = 8, 4_000, 60
	a := startApp(t, echo)
	directives := func(i int) string { return fmt.Sprintf("header X-Reload %d\nsluice %s {\nworkers 8\n}", i, a.addr) }
	s, front, socket := behindNginx(t, "fastcgi", "/srv", directives(0))
	var (
		n      atomic.Int64
		over   atomic.Bool
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed []reply
	)
	defer over.Store(true) // also when a reload fails
	for range clients {
		wg.Go(func() {
			for i := n.Add(1); !over.Load() || i <= least; i = n.Add(1) {
				text := fmt.Sprint(i)
				r, err := http.NewRequest("POST", front.url+"/"+text, strings.NewReader(text))
				if err != nil {
					t.Error(err)
					return
				}
				if re := front.do(r); re.err != nil || re.status != 200 || re.body != "POST /"+text+" "+text {
					mu.Lock()
					failed = append(failed, re)
					mu.Unlock()
				}
			}
		})
	}
	for i := range reloads {
		for due := int64(least * i / reloads); n.Load() < due; {
			time.Sleep(time.Millisecond) // spreads the reloads over the requests
		}
		s.load(webSite("fcgi+unix/"+socket, directives(i+1)))
	}
	over.Store(true)
	wg.Wait()
	if n.Load() < least || len(failed) > 0 {
		t.Errorf("of %d requests %d failed: %v", n.Load(), len(failed), reasons(failed))
	}
	s.untouched()
	if re := front.get("/"); re.header.Get("X-Reload") != fmt.Sprint(reloads) {
		t.Errorf("answered by configuration %q", re.header.Get("X-Reload"))
	}

	// A configuration that fails gives the requests back to the one before.
	if err := s.tryLoad(webSite("fcgi+unix/"+socket, directives(-1)) + "\n}\nhttp:// {\nbind fcgi+unix/relative\n"); err == nil {
		t.Error("a relative path is accepted")
	}
	if re := front.get("/"); re.status != 200 || re.header.Get("X-Reload") != fmt.Sprint(reloads) {
		t.Errorf("after a failed configuration: %d from %q", re.status, re.header.Get("X-Reload"))
	}

	// Other settings are another server at the same socket.
	s.load(webSite("fcgi+unix/"+socket+"|0600", directives(reloads+1)), "sluice {\nweb_servers {\nmax_connections 32\n}\n}")
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // the former one ends meanwhile
		re := front.get("/")
		if re.status != 200 || time.Now().After(end) {
			t.Fatalf("after other settings: %d from %q", re.status, re.header.Get("X-Reload"))
		}
		if re.header.Get("X-Reload") == fmt.Sprint(reloads+1) {
			break
		}
	}

	// Without the address the socket is gone.
	s.load("respond plain")
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(socket); os.IsNotExist(err) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the socket is still there")
		}
	}
}

// A client that leaves nginx leaves the gate. While its request is there, there is no room for another.
func TestClientLeavesNginx(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	a := startApp(t, func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	s, front, _ := behindNginx(t, "fastcgi", "/srv", fmt.Sprintf("sluice %s {\nworkers 1\n}", a.addr), "sluice {\nweb_servers {\nmax_requests 1\n}\n}")
	r, leave := newRequest(t, front.url+"/poll")
	done := make(chan reply)
	go func() { done <- front.do(r) }()
	within(t, entered)
	if n := s.state()[0].Snapshot.InFlight; n != 1 {
		t.Errorf("%d in flight, want 1", n)
	}
	if re := front.get("/second"); re.status != 503 {
		t.Errorf("a second request of max_requests 1: %d %v", re.status, re.err)
	}
	leave()
	<-done
	for end := time.Now().Add(patience); s.state()[0].Snapshot.InFlight != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the request is still in flight")
		}
	}
}

// What cannot be served is an error that says what to do.
func TestWebServerErrors(t *testing.T) {
	s := start(t, "respond plain")
	dir := socketDir(t)
	certificate, key := certificate(t)
	for name, c := range map[string]struct{ text, option, want string }{
		"relative path":      {text: "http:// {\nbind fcgi+unix/run/gate\nrespond x\n}", want: `the path of the socket is "run/gate", want an absolute one: fcgi+unix//run/gate.sock`},
		"two servers":        {text: fmt.Sprintf("http://a:8001 {\nbind fcgi+unix/%s/a\nrespond x\n}\nhttp://b:8002 {\nbind fcgi+unix/%[1]s/a\nrespond x\n}", dir), want: "two servers listen at fcgi+unix/" + dir + "/a"},
		"TLS":                {text: fmt.Sprintf("https://a:8443 {\ntls %s %s\nbind scgi+unix/%s/b\nrespond x\n}", certificate, key, dir), want: "web servers speak scgi+unix without TLS"},
		"group":              {text: fmt.Sprintf("http:// {\nbind fcgi+unix/%s/c\nrespond x\n}", dir), option: "sluice {\nweb_servers {\nsocket_group nobody-has-this\n}\n}", want: `socket_group "nobody-has-this": there is no such group`},
		"mode":               {text: fmt.Sprintf("http:// {\nbind fcgi+unix/%s/d|0888\nrespond x\n}", dir), want: "permission bits"},
		"no directory":       {text: "http:// {\nbind fcgi+unix//nowhere/at/all\nrespond x\n}", want: "no such file or directory"},
		"uwsgi is no server": {text: fmt.Sprintf("http:// {\nbind uwsgi+unix/%s/e\nrespond x\n}", dir), want: "unknown network uwsgi+unix"},
	} {
		err := s.tryText(s.global(c.option) + c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("sockets are left: %v, %v", left, err)
	}
}

// Over TCP, with HTTP at another address of the same server, and a group for a unix socket.
func TestWebServerAddresses(t *testing.T) {
	host, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(socketDir(t), "gate")
	a := startApp(t, variables("OF_NGINX"))
	option := ""
	if os.Geteuid() == 0 {
		option = "sluice {\nweb_servers {\nsocket_group www-data\n}\n}"
	}
	s := start(t, fmt.Sprintf("respond plain\n}\nhttp://:%s {\nbind fcgi/%s scgi+unix/%s\nsluice %s", port, host, socket, a.addr), option)
	awaitListener(t, "tcp", net.JoinHostPort(host, port))
	http := s.url
	s.want(s.get("/"), 200, "plain")
	s.url = startNginx(t, "scgi", socket, "/srv")
	s.want(s.get("/"), 200, "OF_NGINX=yes\n")
	s.url = http
	s.want(s.get("/"), 200, "plain")
	if info, err := os.Stat(socket); err != nil || os.Geteuid() == 0 && info.Sys().(*syscall.Stat_t).Gid != 33 {
		t.Errorf("the socket belongs to %+v, %v", info.Sys(), err)
	}
}

// A Caddy that ends answers the requests that it has, and cuts them after the grace period.
func TestExitBehindNginx(t *testing.T) {
	dir := socketDir(t)
	caddy := filepath.Join(dir, "caddy")
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	run(t, checkout, "go", "build", "-o", caddy, "./cmd/caddy")
	entered, release := make(chan struct{}), make(chan struct{})
	a := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		echo(w, r)
	})
	for name, grace := range map[string]string{"eternal": "", "over": "grace_period 200ms"} {
		t.Run(name, func(t *testing.T) {
			socket, config := filepath.Join(dir, name), filepath.Join(dir, name+".caddyfile")
			write(t, config, fmt.Sprintf("{\nadmin off\npersist_config off\nstorage file_system %s\n%s\n}\nhttp:// {\nbind fcgi+unix/%s\nsluice %s\n}\n", storage, grace, socket, a.addr))
			cmd := exec.Command(caddy, "run", "--config", config)
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended
			awaitListener(t, "unix", socket)
			s := &site{t: t, url: startNginx(t, "fastcgi", socket, "/srv"), client: &http.Client{Timeout: patience}}
			late := make(chan reply, 1)
			go func() { late <- s.get("/slow") }()
			within(t, entered)
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if grace == "" {
				for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // until it takes no more
					if _, err := os.Stat(socket); os.IsNotExist(err) {
						break
					}
					if time.Now().After(end) {
						t.Fatal("the socket is still there")
					}
				}
				select {
				case err := <-ended:
					t.Fatalf("it has ended before its request: %v", err)
				default:
				}
				release <- struct{}{}
				s.want(<-late, 200, "GET /slow ")
			} else if re := <-late; re.err != nil || re.status < 500 {
				t.Errorf("reply %d %q, %v; want an error", re.status, re.body, re.err)
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(patience):
				t.Error("it does not end")
			}
			if grace != "" {
				release <- struct{}{}
			}
		})
	}
}

//go:build linux

package integration

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startProxy runs nginx before a gate, undeclared: the gate takes all it sends for one
// client's. It returns its URL. Further lines go to its location.
func startProxy(t testing.TB, url string, lines ...string) string {
	t.Helper()
	nginx := need(t, "nginx", "/usr/sbin/nginx")
	dir := socketDir(t)
	addr := freeAddress(t)
	config := filepath.Join(dir, "nginx.conf")
	write(t, config, `
daemon off; master_process off; pid %[1]s/pid; error_log /proc/self/fd/2 warn;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	server {
		listen %[2]s;
		location / {
			proxy_pass %[3]s;
			proxy_set_header Host $http_host;
			proxy_read_timeout 60s;
			%[4]s
		}
	}
}
`, dir, addr, url, strings.Join(lines, "\n"))
	p := start(t, exec.Command(nginx, "-c", config, "-e", "/proc/self/fd/2"))
	at := "http://" + addr
	client := http.Client{Timeout: time.Second}
	eventually(t, "nginx answers", func() error {
		select {
		case <-p.ended:
			t.Fatalf("nginx has ended: %v\n%s", p.err, p.output)
		default:
		}
		resp, err := client.Get(at + "/")
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	return at
}

//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// nginx, whose workers are another user, serves what the gate does behind a unix socket,
// with the permissions that this has by default. Not so if only the gate's own user may
// connect.
func TestNginxBeforeUnixSocket(t *testing.T) {
	nginx := need(t, "nginx", "/usr/sbin/nginx")
	if os.Geteuid() != 0 {
		missing(t, "root, for nginx to run as another user")
	}
	for _, tt := range []struct {
		args []string
		want int
	}{
		{nil, 200},
		{[]string{"--listen-mode", "0660", "--listen-group", "www-data"}, 200},
		{[]string{"--listen-mode", "0600", "--listen-owner", "www-data"}, 200},
		{[]string{"--listen-mode", "0600"}, 502},
	} {
		t.Run(fmt.Sprint(tt.args), func(t *testing.T) {
			m := startMute(t, startLibfcgi(t, 2), nil, nil, tt.args...)
			dir := socketDir(t)
			for _, d := range []string{dir, filepath.Dir(m.listen)} {
				if err := os.Chmod(d, 0o755); err != nil { // the directories are not what this is about
					t.Fatal(err)
				}
			}
			conf, path := filepath.Join(dir, "nginx.conf"), filepath.Join(dir, "nginx.sock")
			write(t, conf, `user www-data; daemon off; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 64; }
http {
	access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	server { listen unix:%[2]s; location / { proxy_pass http://unix:%[3]s:; } }
}
`, dir, path, m.listen)
			awaitSocket(t, start(t, exec.Command(nginx, "-c", conf, "-p", dir)), path)
			s := overUnix(t, path)
			resp, body := s.do(t, s.request(t, "GET", "/hello", nil))
			if resp.StatusCode != tt.want || tt.want == 200 && body != "hello\n" {
				t.Errorf("%s, want %d\n%s", resp.Status, tt.want, head(body))
			}
		})
	}
}

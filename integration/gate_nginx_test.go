//go:build linux

package integration

import (
	"testing"
	"time"
)

// nginxForCrowds sends scripts as they are, and else the whole path as PATH_INFO, as docs/protocols.md
// has it.
const nginxForCrowds = `
daemon off; pid @DIR@/pid; error_log stderr warn; worker_processes 1; @USER@
events { worker_connections 2048; }
http {
	access_log off; client_body_temp_path @DIR@/b; fastcgi_temp_path @DIR@/f; scgi_temp_path @DIR@/s; proxy_temp_path @DIR@/p; uwsgi_temp_path @DIR@/u;
	upstream gate { server unix:@SOCKET@; keepalive 16; }
	fastcgi_keep_conn on;
	fastcgi_read_timeout 120s;
	server {
		listen @ADDR@;
		location / {
			include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_NAME ""; fastcgi_param PATH_INFO $document_uri;
			fastcgi_pass gate;
		}
		location ~ ^(/[^/]+\.php)(/.*)?$ {
			include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_NAME $1; fastcgi_param PATH_INFO $2; fastcgi_param SCRIPT_FILENAME @ROOT@$1;
			fastcgi_pass gate;
		}
	}
}
`

// startLanesBehindNginx is startLanes with nginx in front, which speaks FastCGI to the gate.
func startLanesBehindNginx(t testing.TB, kind string, be backend, args ...string) laneGate {
	t.Helper()
	gate, sockets := webGate(t, be, append([]string{"--lanes", kind, "--queue-timeout", "3s"}, args...)...)
	g := watched(t, gate)
	w := webServer{name: "nginx", program: []string{"nginx", "/usr/sbin/nginx"}, config: nginxForCrowds, args: []string{"-c", "@DIR@/conf"}}
	g.url = w.start(t, sockets[false], testdata(t, ""))
	return g
}

// The proof of TestPollsDrownNobody behind a web server: the long-polls and the pages come from
// nginx over FastCGI.
func TestPollsDrownNobodyBehindNginx(t *testing.T) {
	apps := map[string]func(testing.TB, int) (backend, string){"FastCGI": startThreaded}
	if soaking() {
		apps["HTTP"] = startGunicornPages
	}
	for name, app := range apps {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // so few requests do not disturb each other
			length := lasting(20*time.Second, 2*time.Minute)
			alone := pollScene{name: "lanes, no polls", app: app, through: startLanesBehindNginx, kind: lanesOn, rate: 8, mean: pageTime, length: length}
			withPolls := alone
			withPolls.name, withPolls.polls = "lanes, 24 polls", 24
			scenes := []*pollScene{&alone, &withPolls}
			if soaking() {
				inLine := withPolls
				inLine.name, inLine.kind = "FIFO, 24 polls", lanesOff
				scenes = append(scenes, &inLine)
			}
			playAll(t, scenes...)
			compare(t, scenes...)
			withPolls.asked.wantAllAnswered(t, "polls through lanes")
			if withPolls.atWork < 11 { // 16 less the reserve of 4 is 12
				t.Errorf("%.1f polls were at work, want 12", withPolls.atWork)
			}
		})
	}
}

// The proof of TestSessionLocksOnlyItsOwner behind a web server: what is a session's cookie in HTTP
// is one in FastCGI.
func TestSessionLocksOnlyItsOwnerBehindNginx(t *testing.T) {
	t.Parallel() // so few requests do not disturb each other
	compareSessions(t, startLanesBehindNginx, "/tabs.php", errand{route: "/routes.php/hello", answer: "hello\n"}, func() backend {
		return startFPM(t, fpmOptions{root: testdata(t, ""), workers: 8})
	})
}

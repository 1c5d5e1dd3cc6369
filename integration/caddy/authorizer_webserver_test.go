//go:build linux

package caddy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A site at an address for web servers asks its authorizer as others do, and each decision is in
// the access log and in the metrics.
func TestAuthorizerBehindNginx(t *testing.T) {
	authorizer, app := startAuthorizer(t), startApp(t, who)
	_, n, _ := behindNginx(t, "fastcgi", t.TempDir(), fmt.Sprintf("log\nsluice %s {\nauthorizer %s {\nworkers 2\n}\n}", app.addr, authorizer))
	n.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if re := n.ask("GET", "/page", ""); re.body != "<p>log in\n" {
		t.Errorf("without a user: %+v", re)
	}
	n.want(n.ask("GET", "/page", "", "Cookie", "user=jane"), 200, "/page jane _1")
	for _, decision := range []string{"granted", "denied"} {
		if lines := n.logged("http.log.access", `"authorizer":"`+decision+`"`); len(lines) != 1 {
			t.Errorf("the access log has %d requests that were %s", len(lines), decision)
		}
	}
	_, metrics := n.manage("GET", "/metrics")
	for _, decision := range []string{"granted", "denied"} {
		if line := fmt.Sprintf("caddy_sluice_authorizer_decisions_total{application=%q,decision=%q} 1\n", app.addr, decision); !strings.Contains(metrics, line) {
			t.Errorf("the metrics have no %s", line)
		}
	}
}

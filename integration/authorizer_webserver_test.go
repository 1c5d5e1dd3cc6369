//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// Requests that a web server sends in FastCGI or SCGI are asked about as others are: the application
// gets the authorizer's variables beside the web server's, a denial is the client's, what the
// authorizer writes to its standard error is in the log, and in the web server's if that is wanted,
// and each decision is counted.
func TestAuthorizerBehindWebServer(t *testing.T) {
	for _, w := range []webServer{webServers[0], webServers[2]} { // nginx in FastCGI, and in SCGI
		t.Run(w.name, func(t *testing.T) {
			_, addr, _ := startAuthorizer(t, "Perl", 2)
			gate, sockets := webGate(t, startPerl(t, 2), "--authorizer", addr, "--authorizer-workers", "2", "--web-server-stderr")
			url, server := w.run(t, sockets[w.scgi], "/srv")
			s := newSite(t, url+"/routes.php")
			if resp, body := s.asUser(t, "", http.MethodGet, "/params/x?q=1", nil); resp.StatusCode != http.StatusFound || body != "<p>log in\n" {
				t.Errorf("without a user: %s %q", resp.Status, body)
			}
			resp, body := s.asUser(t, "jane", http.MethodGet, "/params/x?say", nil)
			got := vars(body)
			for name, want := range map[string]string{
				"REMOTE_USER": "jane", "AUTH_TYPE": "cookie", "Shib-Session-ID": "_1", "SAW": "GET //", "FCGI_ROLE": "RESPONDER",
				"SCRIPT_NAME": "/routes.php", "PATH_INFO": "/params/x", "SCRIPT_FILENAME": "/srv/routes.php", "TWICE": "two",
			} {
				if got[name] != want {
					t.Errorf("%s: %s is %q, want %q", resp.Status, name, got[name], want)
				}
			}
			if resp, _ := s.asUser(t, "jane", http.MethodGet, "/params/x?die", nil); resp.StatusCode != http.StatusBadGateway {
				t.Errorf("an authorizer that ends in the middle of its answer: %s", resp.Status)
			}
			said := regexp.MustCompile(`msg="application stderr".*authorizer=\S*.*deciding about /routes.php/params/x`)
			eventually(t, "the log has what the authorizer said", func() error {
				if !said.MatchString(gate.output.String()) {
					return errNotYet
				}
				return nil
			})
			eventually(t, "nginx's log has what the authorizer said, if the protocol has a stream for it", func() error {
				if has := strings.Contains(server.output.String(), "deciding about"); has == w.scgi { // SCGI has none
					return fmt.Errorf("it has it: %v", has)
				}
				return nil
			})
			metrics := gate.side(t).get(t, "/metrics")
			for _, line := range []string{`decision="granted"} 1`, `decision="denied"} 1`, `decision="failed"} 1`} {
				if !strings.Contains(metrics, "sluice_authorizer_decisions_total{"+line+"\n") {
					t.Errorf("no %s in\n%s", line, regexp.MustCompile(`(?m)^sluice_authorizer.*$`).FindAllString(metrics, -1))
				}
			}
		})
	}
}

//go:build linux

package integration

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// pebble is a certificate authority that speaks ACME.
type pebble struct {
	ca            *certificateAuthority // of its own certificate
	directory     string                // URL
	management    site
	http, tlsPort string // the ports at which it asks
}

// startPebble runs the authority, and a name server that leads all names here. http and secure are the
// addresses at which it asks.
func startPebble(t testing.TB, http, secure string) pebble {
	t.Helper()
	p := pebble{ca: newAuthority(t)}
	dir := t.TempDir()
	own := filepath.Join(dir, "pebble.pem")
	p.ca.issue(t, own, 3, "localhost")
	names, api, management := freeAddress(t), freeAddress(t), freeAddress(t)
	_, p.http, _ = net.SplitHostPort(http)
	_, p.tlsPort, _ = net.SplitHostPort(secure)
	config := filepath.Join(dir, "pebble.json")
	write(t, config, `{"pebble": {"listenAddress": %q, "managementListenAddress": %q, "certificate": %q, "privateKey": %q, "httpPort": %s, "tlsPort": %s}}`,
		api, management, own, own, p.http, p.tlsPort)
	dns := start(t, exec.Command(need(t, "pebble-challtestsrv"), "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dnsserver", names, "-management", freeAddress(t),
		"-doh", "", "-http01", "", "-https01", "", "-tlsalpn01", ""))
	awaitAddress(t, dns, "tcp", names)
	cmd := exec.Command(need(t, "pebble"), "-config", config, "-dnsserver", names)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=0")
	awaitAddress(t, start(t, cmd), "tcp", api)
	p.directory = "https://" + api + "/dir"
	p.management = p.ca.secureSite(t, management, "127.0.0.1", false)
	p.management.url = "https://" + management
	return p
}

// roots are those of the certificates that it has issued.
func (p pebble) roots(t testing.TB) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(p.management.get(t, "/roots/0"))) {
		t.Fatal("pebble has no root")
	}
	return pool
}

// obtained is a gate with certificates that pebble issues.
type obtained struct {
	plain, secure string // addresses
	directory     string
	config        string
}

func newObtained(t testing.TB) obtained {
	return obtained{plain: freeAddress(t), secure: freeAddress(t), directory: filepath.Join(t.TempDir(), "acme")}
}

// start starts the gate, with a site with a certificate of its own besides.
func (o *obtained) start(t testing.TB, p pebble, challenge, own, backend string) sluice {
	t.Helper()
	o.config = filepath.Join(filepath.Dir(o.directory), "sluice.toml")
	write(t, o.config, `
[server]
listen = [%q, "https://%s"]
status = "127.0.0.1:0"
access_log = "off"
acme = { agree_terms = "on", email = "admin@example.org", ca = %q, ca_root = %q, directory = %q, challenges = %q }
[[application]]
name = "a"
backends = [%q]
[[site]]
hosts = ["wiki.example.org"]
[[site]]
hosts = ["own.test"]
tls.certificate = [%q]
`, o.plain, o.secure, p.directory, p.ca.file, o.directory, challenge, backend, own)
	return runGate(t, socketDir(t), []string{sluiceBinary(), "serve", "--config", o.config})
}

// certificate is that which a client of a name gets.
func (o *obtained) certificate(name string, roots *x509.CertPool) (*x509.Certificate, error) {
	c, err := tls.Dial("tcp", o.secure, &tls.Config{ServerName: name, RootCAs: roots})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0], nil
}

// By each challenge a certificate is issued, and served; after a new start it comes from the disk,
// and no other one is ordered.
func TestACME(t *testing.T) {
	addr, _ := startNamed(t, "a")
	for _, challenge := range []string{"http", "tls-alpn"} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			o := newObtained(t)
			p := startPebble(t, o.plain, o.secure)
			own := filepath.Join(t.TempDir(), "own.pem")
			p.ca.issue(t, own, 5, "own.test")
			gate := o.start(t, p, challenge, own, addr)
			gate.logs(t, `msg="a certificate was issued" name=wiki.example.org`)
			roots := p.roots(t)
			var first *x509.Certificate
			eventually(t, "the certificate is served", func() (err error) {
				first, err = o.certificate("wiki.example.org", roots)
				return err
			})
			if got, err := o.certificate("own.test", p.ca.pool); err != nil || got.SerialNumber.Int64() != 5 {
				t.Errorf("the other site has %v, %v", got, err)
			}
			if info, err := os.Stat(o.directory); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("the directory is %v, %v", info.Mode(), err)
			}
			s := (&certificateAuthority{pool: roots}).secureSite(t, o.secure, "wiki.example.org", true)
			if resp, body := s.do(t, s.request(t, http.MethodGet, "/", nil)); resp.StatusCode != http.StatusOK {
				t.Errorf("%s %q", resp.Status, body)
			}
			status := strings.Join(strings.Fields(gate.side(t).get(t, "/status.json")), "")
			if !strings.Contains(status, `"names":["wiki.example.org"],"source":"acme","expires":"20`) {
				t.Errorf("the status is %s", status)
			}
			gate.signal(t, syscall.SIGTERM)
			gate.wantEnd(t, patience)

			again := o.start(t, p, challenge, own, addr)
			if got, err := o.certificate("wiki.example.org", roots); err != nil || got.SerialNumber.Cmp(first.SerialNumber) != 0 {
				t.Errorf("after a new start: %v, %v", got, err)
			}
			if strings.Contains(again.output.String(), "being obtained") {
				t.Error("another certificate was ordered")
			}

			// A reload with one more host obtains its certificate.
			text, err := os.ReadFile(o.config)
			if err != nil {
				t.Fatal(err)
			}
			write(t, o.config, "%s", strings.Replace(string(text), `"wiki.example.org"`, `"wiki.example.org", "blog.example.org"`, 1))
			again.signal(t, syscall.SIGHUP)
			again.logs(t, `msg="a certificate was issued" name=blog.example.org`)
			eventually(t, "it is served", func() error {
				_, err := o.certificate("blog.example.org", roots)
				return err
			})
		})
	}
}

// An authority that is down holds up nothing else, and the log says what to do.
func TestACMEDown(t *testing.T) {
	addr, _ := startNamed(t, "a")
	o := newObtained(t)
	p := pebble{ca: newAuthority(t), directory: "https://" + freeAddress(t) + "/dir"}
	own := filepath.Join(t.TempDir(), "own.pem")
	p.ca.issue(t, own, 5, "own.test")
	gate := o.start(t, p, "any", own, addr)
	s := p.ca.secureSite(t, o.secure, "own.test", true)
	if resp, body := s.do(t, s.request(t, http.MethodGet, "/", nil)); resp.StatusCode != http.StatusOK {
		t.Errorf("%s %q", resp.Status, body)
	}
	if _, err := o.certificate("wiki.example.org", p.ca.pool); err == nil {
		t.Error("a name without a certificate has that of another")
	}
	gate.logs(t, `msg="no certificate was issued; it is tried again" name=wiki.example.org`)
	if out := gate.output.String(); !strings.Contains(out, "connection refused") || !strings.Contains(out, "advice=\"see that the name leads to this machine") {
		t.Errorf("the log is\n%s", out)
	}
	if text := gate.side(t).get(t, "/metrics"); !strings.Contains(text, `sluice_front_certificate_failing{name="wiki.example.org",source="acme"} 1`) {
		t.Error("the metrics say nothing of it")
	}
	gate.signal(t, syscall.SIGTERM)
	gate.wantEnd(t, patience)
}

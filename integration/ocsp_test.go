//go:build linux

package integration

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// responder is OpenSSL's, for the certificates of an authority.
type responder struct {
	addr, index, key string
	ca               *certificateAuthority
}

func newResponder(t *testing.T) *responder {
	t.Helper()
	dir, ca := t.TempDir(), newAuthority(t)
	r := &responder{addr: freeAddress(t), index: filepath.Join(dir, "index.txt"), key: filepath.Join(dir, "ca.key"), ca: ca}
	secret, err := x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, r.key, "%s", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	write(t, r.index, "")
	return r
}

// issue writes a certificate, with its issuer's and its key, into one file, and has the responder know of it: V is
// valid, R revoked.
func (r *responder) issue(t *testing.T, file string, serial int64, name, state string, more ...pkix.Extension) {
	t.Helper()
	of := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, OCSPServer: []string{"http://" + r.addr}, ExtraExtensions: more,
	}
	r.ca.issueAs(t, file, of, r.ca.certificate)
	revoked := ""
	if state == "R" {
		revoked = time.Now().UTC().Add(-time.Minute).Format("060102150405Z")
	}
	known, err := os.ReadFile(r.index)
	if err != nil {
		t.Fatal(err)
	}
	write(t, r.index, "%s%s\t%s\t%s\t%02X\tunknown\t/CN=%s\n", known, state, of.NotAfter.UTC().Format("060102150405Z"), revoked, serial, name)
}

func (r *responder) start(t *testing.T) *process {
	t.Helper()
	_, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, exec.Command(need(t, "openssl"), "ocsp", "-port", port, "-index", r.index, "-CA", r.ca.file, "-rsigner", r.ca.file, "-rkey", r.key, "-ndays", "7"))
	eventually(t, "the responder listens", func() error { // a connection without a request would hold it up for ever
		if !strings.Contains(p.output.String(), "waiting for OCSP client connections") {
			return errNotYet
		}
		return nil
	})
	return p
}

// stapledFor is the response that a client of a name is sent, nil without one.
func stapledFor(t *testing.T, addr string, ca *certificateAuthority, name string) []byte {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, RootCAs: ca.pool})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().OCSPResponse
}

var mustStaple = pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}}

// Certificates in files have the responses of OpenSSL's responder stapled: of those that are not revoked, and after a
// new start without the responder.
func TestStapling(t *testing.T) {
	t.Parallel()
	dir, r := t.TempDir(), newResponder(t)
	good, revoked, must := filepath.Join(dir, "good.pem"), filepath.Join(dir, "revoked.pem"), filepath.Join(dir, "must.pem")
	r.issue(t, good, 16, "good.test", "V")
	r.issue(t, revoked, 17, "revoked.test", "R")
	r.issue(t, must, 18, "must.test", "V", mustStaple)
	app := startPHPCGI(t, testdata(t, ""), 1)
	file := filepath.Join(dir, "sluice.toml")
	write(t, file, `
[server]
listen = ["127.0.0.1:0", "https://127.0.0.1:0"]
status = "127.0.0.1:0"
access_log = "off"
[[application]]
backends = [%q]
workers = 1
[[site]]
tls.certificate = [%q, %q, %q]
`, app.addr, good, revoked, must)
	state := t.TempDir()
	gate := func() sluice {
		t.Helper()
		return runGate(t, dir, []string{need(t, "env"), "STATE_DIRECTORY=" + state, sluiceBinary(), "serve", "--config", file})
	}

	s := gate() // nobody is at the responder's address
	if got := stapledFor(t, s.secureAddress(t), r.ca, "good.test"); got != nil {
		t.Errorf("without the responder, %d bytes are stapled", len(got))
	}
	eventually(t, "the log tells of the certificate that needs a response", func() error {
		if log := s.output.String(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "must have a stapled OCSP response") {
			return fmt.Errorf("%s", log)
		}
		return nil
	})
	_ = s.Process.Kill()
	<-s.ended

	answers := r.start(t)
	s = gate()
	for _, name := range []string{"good.test", "must.test"} {
		eventually(t, "a response is stapled for "+name, func() error {
			if stapledFor(t, s.secureAddress(t), r.ca, name) == nil {
				return errNotYet
			}
			return nil
		})
	}
	// OpenSSL as the client agrees.
	cmd := exec.Command(need(t, "openssl"), "s_client", "-connect", s.secureAddress(t), "-servername", "good.test", "-status", "-CAfile", r.ca.file)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "OCSP Response Status: successful") || !strings.Contains(string(out), "Cert Status: good") {
		t.Errorf("openssl s_client: %v\n%s", err, head(string(out)))
	}
	eventually(t, "the log tells of the revoked certificate", func() error {
		if !strings.Contains(s.output.String(), "revoked on") {
			return errNotYet
		}
		return nil
	})
	if got := stapledFor(t, s.secureAddress(t), r.ca, "revoked.test"); got != nil {
		t.Errorf("of the revoked certificate, %d bytes are stapled", len(got))
	}
	var status struct {
		Front struct {
			TLS struct {
				Certificates []struct {
					Source, Error string
					Staple        *time.Time
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(newSite(t, s.statusOf(t)).get(t, "status.json")), &status); err != nil {
		t.Fatal(err)
	}
	for _, c := range status.Front.TLS.Certificates {
		if isRevoked := c.Source == revoked; isRevoked != strings.Contains(c.Error, "revoked on") || isRevoked == (c.Staple != nil) {
			t.Errorf("%+v", c)
		}
	}
	_ = s.Process.Kill()
	<-s.ended
	_ = answers.Process.Kill()
	<-answers.ended

	s = gate()
	for _, name := range []string{"good.test", "must.test"} {
		if stapledFor(t, s.secureAddress(t), r.ca, name) == nil {
			t.Errorf("after a new start, none is stapled for %s", name)
		}
	}
}

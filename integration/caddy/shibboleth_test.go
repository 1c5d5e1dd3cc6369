//go:build linux

package caddy

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// shibboleth is a running service provider of Shibboleth, whose identity provider the test plays.
type shibboleth struct {
	t                     *testing.T
	dir                   string
	authorizer, responder string // addresses
}

// startShibboleth starts it for a site.
func startShibboleth(t *testing.T, site *url.URL) *shibboleth {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*/shibboleth/shibauthorizer")
	if err != nil || len(found) == 0 {
		missing(t, "shibboleth-sp-utils")
	}
	sp := &shibboleth{t: t, dir: socketDir(t)}
	sp.command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=idp.example.org", "-keyout", "key.pem", "-out", "cert.pem")
	text, err := os.ReadFile(filepath.Join(sp.dir, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	values := strings.NewReplacer("DIR", sp.dir, "HOST", site.Hostname(), "PORT", site.Port(), "CERTIFICATE", base64.StdEncoding.EncodeToString(block.Bytes))
	for _, name := range []string{"shibboleth2.xml", "idp.xml", "shibd.logger", "native.logger"} {
		sp.file(name, values)
	}
	config := filepath.Join(sp.dir, "shibboleth2.xml")
	runUntilEnd(t, exec.Command("/usr/sbin/shibd", "-F", "-f", "-c", config, "-p", filepath.Join(sp.dir, "pid")))
	// A connection that is closed at once would show that shibd listens, and can end it: its heap is
	// corrupted.
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(sp.dir, "shibd.sock")); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	start := func(program string) string {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), "SHIBSP_CONFIG="+config)
		return startOnSocket(t, cmd)
	}
	sp.authorizer, sp.responder = start(found[0]), start(filepath.Join(filepath.Dir(found[0]), "shibresponder"))
	return sp
}

func (sp *shibboleth) command(program string, args ...string) {
	sp.t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		missing(sp.t, program)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = sp.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		sp.t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// file writes a file of testdata with values filled in.
func (sp *shibboleth) file(name string, values *strings.Replacer) {
	sp.t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/shibboleth", name))
	if err != nil {
		sp.t.Fatal(err)
	}
	write(sp.t, filepath.Join(sp.dir, name), values.Replace(string(text)))
}

// answer is what the identity provider has the browser of jane@example.org send to the service
// provider after a redirect to it.
func (sp *shibboleth) answer(redirect *url.URL, consumer string) url.Values {
	sp.t.Helper()
	deflated, err := base64.StdEncoding.DecodeString(redirect.Query().Get("SAMLRequest"))
	if err != nil {
		sp.t.Fatal(err)
	}
	request, err := io.ReadAll(flate.NewReader(bytes.NewReader(deflated)))
	if err != nil {
		sp.t.Fatal(err)
	}
	id := regexp.MustCompile(` ID="([^"]+)"`).FindSubmatch(request)
	if id == nil || !strings.Contains(string(request), consumer) {
		sp.t.Fatalf("the request of the service provider does not name %s: %s", consumer, request)
	}
	now := time.Now().UTC()
	sp.file("response.xml", strings.NewReplacer(
		"NOW", now.Format(time.RFC3339), "LATER", now.Add(time.Hour).Format(time.RFC3339), "REQUEST", string(id[1]), "CONSUMER", consumer,
	))
	sp.command("xmlsec1", "--sign", "--privkey-pem", "key.pem", "--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion", "--output", "signed.xml", "response.xml")
	signed, err := os.ReadFile(filepath.Join(sp.dir, "signed.xml"))
	if err != nil {
		sp.t.Fatal(err)
	}
	return url.Values{"SAMLResponse": {base64.StdEncoding.EncodeToString(signed)}, "RelayState": {redirect.Query().Get("RelayState")}}
}

// The recipe of docs/authorizer.md: who comes is sent to the identity provider, and is let through
// with attributes as variables after having logged in there.
func TestShibboleth(t *testing.T) {
	app := startApp(t, who)
	s := start(t, `respond "not yet"`)
	site, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	sp := startShibboleth(t, site)
	s.load(fmt.Sprintf(`
		handle /Shibboleth.sso* {
			sluice %s {
				mount /Shibboleth.sso
				workers 1
			}
		}
		handle {
			sluice %s {
				authorizer %s {
					workers 1
				}
			}
		}`, sp.responder, app.addr, sp.authorizer))
	if s.client.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	re := s.ask("GET", "/page?a=b", "", "Eppn", "forged@example.org", "Shib-Session-ID", "forged")
	redirect, err := url.Parse(re.header.Get("Location"))
	if err != nil || re.status != 302 || redirect.Host != "idp.example.org" || app.accepted.Load() != 0 {
		t.Fatalf("%+v, %v, %d connections to the application", re, err, app.accepted.Load())
	}
	re = s.ask("POST", "/Shibboleth.sso/SAML2/POST", sp.answer(redirect, s.url+"/Shibboleth.sso/SAML2/POST").Encode(), "Content-Type", "application/x-www-form-urlencoded")
	if re.status != 302 || re.header.Get("Location") != s.url+"/page?a=b" {
		t.Fatalf("the log-in: %+v", re)
	}
	re = s.get("/page?a=b")
	if user := strings.Fields(re.body); re.status != 200 || len(user) != 3 || user[1] != "jane@example.org" || len(user[2]) < 20 {
		t.Errorf("after the log-in: %+v", re)
	}
	s.client.Jar = nil
	if re = s.get("/page"); re.status != 302 {
		t.Errorf("another browser: %+v", re)
	}
}

//go:build linux

package integration

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/integration/says"
)

// certificateAuthority issues certificates for tests.
type certificateAuthority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
	file        string // with its own certificate
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t testing.TB) *certificateAuthority {
	t.Helper()
	a := &certificateAuthority{key: newKey(t), pool: x509.NewCertPool(), file: filepath.Join(t.TempDir(), "ca.pem")}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.certificate)
	write(t, a.file, "%s", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return a
}

// issue writes a certificate for names and 127.0.0.1, with its key, into one file.
func (a *certificateAuthority) issue(t testing.TB, file string, serial int64, names ...string) {
	t.Helper()
	a.issueAs(t, file, &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
}

// issueAs writes a certificate, with its chain and its key, into one file. Unless said otherwise it is
// valid for 40 days.
func (a *certificateAuthority) issueAs(t testing.TB, file string, of *x509.Certificate, chain ...*x509.Certificate) {
	t.Helper()
	key := newKey(t)
	of.NotBefore = time.Now().Add(-time.Hour)
	if of.NotAfter.IsZero() {
		of.NotAfter = time.Now().Add(40 * 24 * time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, of, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for _, c := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	write(t, file, "%s%s", text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// secureSite is a client that believes the authority. It speaks HTTP/2 if that is wanted, and
// connects to addr whatever the URL's host is.
func (a *certificateAuthority) secureSite(t testing.TB, addr, host string, http2 bool) site {
	t.Helper()
	s := newSite(t, "https://"+host)
	transport := s.client.Transport.(*http.Transport)
	transport.TLSClientConfig = &tls.Config{RootCAs: a.pool}
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2)
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		network := "tcp"
		if strings.HasPrefix(addr, "/") || strings.HasPrefix(addr, "@") {
			network = "unix"
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	return s
}

var securely = regexp.MustCompile(`https (127\.0\.0\.1:\d+)`)

// secureAddress is where the gate listens for TLS.
func (s sluice) secureAddress(t testing.TB) string {
	t.Helper()
	m := securely.FindStringSubmatch(s.output.String())
	if m == nil {
		t.Fatalf("there is no https address in\n%s", s.output)
	}
	return m[1]
}

// startSecure runs a gate with and without TLS, with a certificate for localhost.
func startSecure(t testing.TB, args ...string) (sluice, *certificateAuthority, string) {
	t.Helper()
	ca, file := newAuthority(t), filepath.Join(t.TempDir(), "site.pem")
	ca.issue(t, file, 2, "localhost", "*.wild.test")
	gate := startSluice(t, append([]string{"--listen", "https://127.0.0.1:0", "--tls-certificate", file}, args...)...)
	return gate, ca, file
}

// Over TLS an application is asked as without it, in HTTP/2 and HTTP/1.1, in event loops and with
// net/http beside them: and it knows that its client speaks https.
func TestOverTLS(t *testing.T) {
	be := startLibfcgi(t, 4)
	for _, front := range []string{"loop", "net"} {
		gate, ca, _ := startSecure(t, append(be.args(), "--front", front, "--tls-hsts", "365d", "--tls-hsts-subdomains")...)
		addr := gate.secureAddress(t)
		for _, http2 := range []bool{false, true} {
			s := ca.secureSite(t, addr, "localhost", http2)
			resp, body := s.do(t, s.request(t, http.MethodGet, "/hello", nil))
			if want := map[bool]int{false: 1, true: 2}[http2]; resp.ProtoMajor != want || resp.StatusCode != http.StatusOK || body != "hello\n" {
				t.Errorf("%s: %s %s %q", front, resp.Proto, resp.Status, body)
			}
			if got := resp.Header["Strict-Transport-Security"]; len(got) != 1 || got[0] != "max-age=31536000; includeSubDomains" {
				t.Errorf("%s: Strict-Transport-Security is %q", front, got)
			}
			params := s.get(t, "/params")
			for _, want := range []string{"HTTPS=on", "REQUEST_SCHEME=https", "SERVER_PORT=443", "SERVER_NAME=localhost", "REMOTE_ADDR=127.0.0.1", "SSL_PROTOCOL=TLSv1.3", "SSL_CIPHER=TLS_"} {
				if !strings.Contains(params, want) {
					t.Errorf("%s: there is no %s in\n%s", front, want, params)
				}
			}
			large := strings.Repeat("0123456789abcdef", 1<<16)
			if _, body := s.do(t, s.request(t, http.MethodPost, "/echo", strings.NewReader(large))); body != large {
				t.Errorf("%s: of %d bytes, %d came back", front, len(large), len(body))
			}
		}
		// Who asks for HTTP/1.0 is served; the connection ends with the answer.
		old, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: ca.pool, ServerName: "localhost", NextProtos: []string{"http/1.0"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(old, "GET /hello HTTP/1.0\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Error(err)
		}
		if answer, err := io.ReadAll(old); err != nil || !strings.HasSuffix(string(answer), "\r\n\r\nhello\n") {
			t.Errorf("%s: in HTTP/1.0: %q, %v", front, answer, err)
		}
		old.Close()
		// Without TLS, it is asked to come again with it. The method stays.
		plain := newSite(t, gate.url)
		_, port, _ := net.SplitHostPort(addr)
		for method, status := range map[string]int{http.MethodGet: 301, http.MethodHead: 301, http.MethodPost: 308, http.MethodPut: 308} {
			resp, _ := plain.do(t, plain.request(t, method, "/hello?a=b%20c", nil))
			if want := "https://127.0.0.1:" + port + "/hello?a=b%20c"; resp.StatusCode != status || resp.Header.Get("Location") != want || resp.Header.Get("Strict-Transport-Security") != "" {
				t.Errorf("%s: %s %v", method, resp.Status, resp.Header)
			}
		}
		// Who writes http:// to this port is told so.
		wrong := newSite(t, "http://"+addr)
		if resp, body := wrong.do(t, wrong.request(t, http.MethodGet, "/", nil)); resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "write https://") {
			t.Errorf("without TLS: %s %q", resp.Status, body)
		}
	}
}

// Each site has its certificate, found by name, by pattern, or as the first one. It is read again when
// its file changes; a broken one changes nothing.
func TestCertificates(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	wiki, blog := filepath.Join(dir, "wiki.pem"), filepath.Join(dir, "blog.pem")
	ca.issue(t, wiki, 10, "wiki.test", "*.wiki.test")
	ca.issue(t, blog, 20, "blog.test")
	addr, _ := startNamed(t, "a")
	text := fmt.Sprintf("[[application]]\nname = \"a\"\nbackends = [%q]\n[[site]]\nhosts = [\"wiki.test\", \"*.wiki.test\"]\ntls.certificate = [%q]\n[[site]]\nhosts = [\"blog.test\"]\ntls.certificate = [%q]\n", addr, wiki, blog)
	g := configured{file: filepath.Join(dir, "sluice.toml")}
	write(t, g.file, "[server]\nlisten = [\"127.0.0.1:0\", \"https://127.0.0.1:0\"]\nstatus = \"off\"\naccess_log = \"off\"\n%s", text)
	g.sluice = runGate(t, socketDir(t), []string{sluiceBinary(), "serve", "--config", g.file})
	secure := g.secureAddress(t)
	serial := func(name string) (int64, error) {
		c, err := tls.Dial("tcp", secure, &tls.Config{ServerName: name, RootCAs: ca.pool, InsecureSkipVerify: name == ""}) //nolint:gosec // without a name, any will do
		if err != nil {
			return 0, err
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
	}
	want := func(of map[string]int64) {
		t.Helper()
		for name, n := range of {
			if got, err := serial(name); got != n || err != nil {
				t.Errorf("%q has certificate %d, %v, want %d", name, got, err, n)
			}
		}
	}
	want(map[string]int64{"wiki.test": 10, "en.wiki.test": 10, "blog.test": 20, "": 10})
	for _, name := range []string{"other.test", "a.b.wiki.test"} {
		if _, err := serial(name); err == nil {
			t.Errorf("%s has a certificate", name)
		}
	}

	write(t, blog, "%s", "-----BEGIN CERTIFICATE-----\nhalf of it")
	g.logs(t, "a certificate's files have changed, and cannot be used")
	want(map[string]int64{"blog.test": 20})
	ca.issue(t, blog, 21, "blog.test")
	eventually(t, "the new certificate is in use", func() error {
		if n, err := serial("blog.test"); n != 21 {
			return fmt.Errorf("%d, %v", n, err)
		}
		return nil
	})
	want(map[string]int64{"wiki.test": 10})
}

// A reload listens with TLS, and takes over certificates. A file with a broken certificate changes
// nothing.
func TestReloadOfCertificates(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	first, second := filepath.Join(dir, "first.pem"), filepath.Join(dir, "second.pem")
	ca.issue(t, first, 1, "first.test")
	ca.issue(t, second, 2, "second.test")
	addr, _ := startNamed(t, "a")
	app := fmt.Sprintf("[[application]]\nname = \"a\"\nbackends = [%q]\n", addr)
	site := func(name, file string) string {
		return fmt.Sprintf("[[site]]\nhosts = [%q]\ntls.certificate = [%q]\n", name, file)
	}
	g := startConfigured(t, "", app+"[[site]]\n")
	file := func(listen, text string) {
		write(t, g.file, "[server]\nlisten = [\"127.0.0.1:0\", %s]\nstatus = \"127.0.0.1:0\"\naccess_log = \"off\"\n%s%s", listen, app, text)
	}
	file(`"https://127.0.0.1:0"`, site("first.test", first))
	g.reloaded(t)
	g.logs(t, "https 127.0.0.1:")
	kept := ca.secureSite(t, g.secureAddress(t), "first.test", true)
	kept.get(t, "/")
	file(`"https://127.0.0.1:0"`, site("second.test", filepath.Join(dir, "none.pem")))
	if status, text := g.reload(t); status == http.StatusOK || !strings.Contains(text, "tls.certificate") || !strings.Contains(text, "no such file") {
		t.Errorf("%d %q", status, text)
	}
	file(`"https://127.0.0.1:0"`, site("first.test", first)+site("second.test", second))
	g.reloaded(t)
	if got := ca.secureSite(t, g.secureAddress(t), "second.test", true).get(t, "/"); got != "a second.test /" {
		t.Errorf("the new site says %q", got)
	}
	if got := kept.get(t, "/"); got != "a first.test /" {
		t.Errorf("the other one says %q", got)
	}
	// What is not needed any more, and what ends soon, is said by a check.
	check := exec.Command(sluiceBinary(), "config", "check", g.file)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	file(`"https://127.0.0.1:0"`, site("other.test", first))
	out, err := exec.Command(sluiceBinary(), "config", "check", g.file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "it is for none of the site's hosts, other.test") {
		t.Errorf("%v\n%s", err, out)
	}
}

// The application's own Strict-Transport-Security is the only one.
func TestHSTSOfApplication(t *testing.T) {
	_, addr := startSaying(t, map[string]says.Answer{"": says.Text("Strict-Transport-Security: max-age=1\nContent-Type: text/plain\n\nhello")})
	gate, ca, _ := startSecure(t, "--backend", addr, "--tls-hsts", "365d")
	for _, http2 := range []bool{false, true} {
		s := ca.secureSite(t, gate.secureAddress(t), "localhost", http2)
		resp, _ := s.do(t, s.request(t, http.MethodGet, "/", nil))
		if got := resp.Header["Strict-Transport-Security"]; len(got) != 1 || got[0] != "max-age=1" {
			t.Errorf("HTTP/2 %v: %q", http2, got)
		}
	}
}

// Who drains says so to clients in HTTP/2, lets their requests end, and cuts what does not: the answer
// never looks complete.
func TestDrainOfHTTP2(t *testing.T) {
	g := newGate(t)
	gate, ca, _ := startSecure(t, startLibfcgi(t, 4).args()...)
	s := ca.secureSite(t, gate.secureAddress(t), "localhost", true)
	s.get(t, "/hello")
	held := s.background(t, t.Context(), "/wait?gate="+g.dir)
	g.entered(t, 1)
	gate.signal(t, syscall.SIGTERM)
	gate.logs(t, "msg=draining")
	g.open(t)
	if got := within(t, "the held request", held); got.err != nil || got.status != http.StatusOK {
		t.Errorf("the held request ended with %d, %v", got.status, got.err)
	}
	gate.wantEnd(t, patience)
}

// An answer that the application has cut is RST_STREAM in HTTP/2, and a connection without
// close_notify in HTTP/1.0: both are errors for the client. Others on the connection go on.
func TestTruncatedOverTLS(t *testing.T) {
	cut := make(chan struct{}, 2) // not before the client has the header: what comes at once is a 502
	_, addr := startSaying(t, map[string]says.Answer{
		"":     {Parts: []string{"Content-Type: text/plain\r\n\r\n", "hello"}, Next: cut, HangUp: true},
		"next": says.Text("X-A: b\n\nnext"),
	})
	gate, ca, _ := startSecure(t, "--backend", addr, "--workers", "4", "--multiplex", "off")
	s := ca.secureSite(t, gate.secureAddress(t), "localhost", true)
	resp := s.open(t, t.Context(), "/")
	defer resp.Body.Close()
	cut <- struct{}{}
	if body, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || err == nil || !strings.Contains(err.Error(), "stream error") {
		t.Errorf("HTTP/2: %v %q, %v", resp, body, err)
	}
	if got := s.get(t, "/next"); got != "next" {
		t.Errorf("then %q", got)
	}
	c, err := tls.Dial("tcp", gate.secureAddress(t), &tls.Config{ServerName: "localhost", RootCAs: ca.pool})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err = http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("HTTP/1.0: %v, %v", resp, err)
	}
	cut <- struct{}{}
	if text, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("HTTP/1.0: %q looks complete", text)
	}
}

// A client that leaves its request in HTTP/2 gives back the worker as soon as the application has ended,
// and its connection goes on.
func TestLeaveHTTP2(t *testing.T) {
	gate, ca, _ := startSecure(t, startLibfcgi(t, 2).args()...)
	s := ca.secureSite(t, gate.secureAddress(t), "localhost", true)
	side := gate.side(t)
	for range 3 {
		g := newGate(t)
		ctx, cancel := context.WithCancel(t.Context())
		held := s.background(t, ctx, "/wait?gate="+g.dir)
		g.entered(t, 1)
		cancel()
		if got := within(t, "the request", held); !errors.Is(got.err, context.Canceled) {
			t.Errorf("the request ended with %v", got.err)
		}
		g.open(t) // the application notices nothing before
		eventually(t, "the worker is free", func() error {
			if state := readState(t, side); state.InFlight > 0 || state.Gate.InUse+state.Gate.Waiting > 0 {
				return fmt.Errorf("%+v", state.Gate)
			}
			return nil
		})
	}
	s.get(t, "/hello")
}

// One client has no more requests on a connection of HTTP/2 than it might have connections. What is
// refused may be sent again, and what has ended makes room.
func TestBoundOfHTTP2(t *testing.T) {
	const most = 16 // half of 32
	g := newGate(t)
	gate, ca, _ := startSecure(t, append(startLibfcgi(t, 2).args(), "--max-connections", "32", "--lanes", "off")...)
	s := ca.secureSite(t, gate.secureAddress(t), "localhost", true)
	var held []<-chan outcome
	s.get(t, "/hello")
	for range most {
		held = append(held, s.background(t, t.Context(), "/wait?gate="+g.dir))
	}
	side := gate.side(t)
	eventually(t, "all are there", func() error {
		if state := readState(t, side); state.Gate.InUse+state.Gate.Waiting < most {
			return fmt.Errorf("%+v", state.Gate)
		}
		return nil
	})
	if resp, body := s.do(t, s.request(t, http.MethodGet, "/hello", nil)); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "HTTP/2") {
		t.Errorf("one more gets %s %q", resp.Status, body)
	}
	for _, o := range held {
		g.open(t)
		if got := within(t, "a request", o); got.err != nil || got.status != http.StatusOK {
			t.Errorf("%d, %v", got.status, got.err)
		}
	}
	s.get(t, "/hello")
	if text := side.get(t, "/metrics"); !strings.Contains(text, "sluice_front_streams 0\n") || !strings.Contains(text, "sluice_front_streams_refused_total 1\n") {
		t.Error("the metrics differ")
	}
}

// A WebSocket goes over TLS, counts as a connection until it has ended, and ends with a drain.
func TestWebSocketOverTLS(t *testing.T) {
	gate, ca, _ := startSecure(t, startNode(t, 8).args()...)
	side := gate.side(t)
	open := func() (net.Conn, *bufio.Reader) {
		c, err := tls.Dial("tcp", gate.secureAddress(t), &tls.Config{ServerName: "localhost", RootCAs: ca.pool})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(c, "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst ")
		in := bufio.NewReader(c)
		if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%+v, %v", resp, err)
		}
		if got, err := in.ReadString(' '); got != "first " || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		return c, in
	}
	connections := func(want int) {
		t.Helper()
		eventually(t, fmt.Sprint(want, " connections"), func() error {
			if got := readState(t, side).Front.Connections; got.Open != want {
				return fmt.Errorf("%+v", got)
			}
			return nil
		})
	}
	c, _ := open()
	connections(1)
	c.Close()
	connections(0)
	_, in := open()
	gate.signal(t, syscall.SIGTERM)
	if rest, _ := io.ReadAll(in); len(rest) > 0 {
		t.Errorf("%q more", rest)
	}
	gate.wantEnd(t, patience)
}

// While Sluice is started anew, requests over TLS wait in the sockets that systemd keeps: on kept
// connections of HTTP/2, and on new ones, none is refused.
func TestRestartRefusesNoTLS(t *testing.T) {
	ca, file := newAuthority(t), filepath.Join(t.TempDir(), "site.pem")
	ca.issue(t, file, 2, "localhost")
	sockets, tcp, unix := systemdSockets(t)
	a := activated{
		sockets: sockets, names: "tls:local", notices: newNotices(t),
		args: append(startLibfcgi(t, 8).args(), "--listen", "https+systemd:tls", "--listen", "https+systemd:local", "--tls-certificate", file, "--queue-timeout", patience.String()),
	}
	var clients []site
	for i := range 6 {
		addr := tcp
		if i%3 == 2 {
			addr = unix
		}
		s := ca.secureSite(t, addr, "localhost", i%2 == 0)
		s.client.Transport.(*http.Transport).DisableKeepAlives = i >= 3
		clients = append(clients, s)
	}
	a.restarts(t, 2, clients)
}

// A unix socket without a file is served as others are, and freed with the process.
func TestAbstractSocket(t *testing.T) {
	name := fmt.Sprintf("@sluice-test-%d", os.Getpid())
	args := append(startLibfcgi(t, 2).args(), "--listen", "unix:"+name)
	for range 2 {
		gate := startSluice(t, args...)
		s := newSite(t, "http://gate")
		s.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", name)
		}
		if got := s.get(t, "/hello"); got != "hello\n" {
			t.Errorf("got %q", got)
		}
		gate.signal(t, syscall.SIGTERM)
		gate.wantEnd(t, patience)
	}
}

//go:build linux

package caddy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

// certificate writes one for 127.0.0.1, and its key, to files.
func certificate(t *testing.T) (certificate, key string) {
	t.Helper()
	server := httptest.NewTLSServer(nil) // has one
	defer server.Close()
	pair := server.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return certificate, key
}

// The same site over each version of HTTP.
func TestProtocols(t *testing.T) {
	a := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Proto", r.Proto)
		echo(w, r)
	})
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	certificate, key := certificate(t)
	s := start(t, fmt.Sprintf("respond plain\n}\nhttps://127.0.0.1:%s {\ntls %s %s\nsluice %s", port, certificate, key, a.addr))
	insecure := &tls.Config{InsecureSkipVerify: true} // it is signed by itself
	quic := &http3.Transport{TLSClientConfig: insecure}
	defer quic.Close()
	for want, transport := range map[string]http.RoundTripper{
		"HTTP/1.1": &http.Transport{TLSClientConfig: insecure.Clone()},
		"HTTP/2.0": &http.Transport{TLSClientConfig: insecure.Clone(), ForceAttemptHTTP2: true},
		"HTTP/3.0": quic,
	} {
		s.client, s.url = &http.Client{Transport: transport, Timeout: patience}, "https://127.0.0.1:"+port
		for _, body := range []string{"", strings.Repeat("0123456789", 30_000)} {
			re := s.ask("POST", "/path", body)
			s.want(re, 200, "POST /path "+body)
			if got := re.header.Get("X-Proto"); got != want {
				t.Errorf("the application saw %q, want %q", got, want)
			}
		}
		if closer, ok := transport.(*http.Transport); ok {
			closer.CloseIdleConnections()
		}
	}
}

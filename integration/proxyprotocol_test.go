//go:build linux

package integration

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// version2 is a header of the PROXY protocol, version 2 (section 2.2). Without addresses, it is that of
// the load balancer's own connection (LOCAL).
func version2(src, dst string) string {
	header := []byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")
	if src == "" {
		return string(header)
	}
	from, to := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	header[12], header[13] = 0x21, 0x11 // PROXY, TCP over IPv4
	if from.Addr().Is6() {
		header[13] = 0x21
	}
	body := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
	body = binary.BigEndian.AppendUint16(body, from.Port())
	body = binary.BigEndian.AppendUint16(body, to.Port())
	binary.BigEndian.PutUint16(header[14:], uint16(len(body)))
	return string(header) + string(body)
}

// askBehind sends a request after some bytes, and returns the variables that the application has got.
func askBehind(c net.Conn, before string, over func(net.Conn) net.Conn) (string, error) {
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, before); err != nil {
		return "", err
	}
	c = over(c)
	if _, err := io.WriteString(c, "GET /params HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s %q", resp.Status, body)
	}
	return string(body), err
}

// What a load balancer says of a client in either version is what the application gets, in event loops,
// with net/http and over TLS. Whoever is not named cannot say it, and whoever is must.
func TestProxyProtocol(t *testing.T) {
	be := startLibfcgi(t, 4)
	path := filepath.Join(socketDir(t), "http.sock")
	for _, front := range []string{"loop", "net"} {
		t.Run(front, func(t *testing.T) {
			access := filepath.Join(t.TempDir(), "access")
			gate, ca, _ := startSecure(t, append(be.args(), "--front", front, "--proxy-protocol", "127.0.0.8/32,unix", "--listen", "unix:"+path,
				"--tls-redirect", "off", "--header-timeout", "1s", "--access-log", access)...)
			plain := strings.TrimPrefix(gate.url, "http://")
			same := func(c net.Conn) net.Conn { return c }
			secure := func(c net.Conn) net.Conn {
				return tls.Client(c, &tls.Config{ServerName: "localhost", RootCAs: ca.pool})
			}
			dial := func(from, addr string) net.Conn {
				t.Helper()
				if strings.HasPrefix(addr, "/") {
					c, err := net.Dial("unix", addr)
					if err != nil {
						t.Fatal(err)
					}
					return c
				}
				return connect(t, from, "http://"+addr)
			}
			const balancer = "127.0.0.8"
			for _, tc := range []struct {
				name, from, addr, before string
				over                     func(net.Conn) net.Conn
				want                     []string // none: it is refused
			}{
				{"version 1", balancer, plain, "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n", same, []string{"REMOTE_ADDR=192.0.2.7\n", "REMOTE_PORT=4711\n", "SERVER_ADDR=198.51.100.1\n"}},
				{"version 2", balancer, plain, version2("192.0.2.7:4711", "198.51.100.1:80"), same, []string{"REMOTE_ADDR=192.0.2.7\n", "REMOTE_PORT=4711\n"}},
				{"IPv6", balancer, plain, version2("[2001:db8::7]:4711", "[2001:db8::1]:80"), same, []string{"REMOTE_ADDR=2001:db8::7\n"}},
				{"a unix socket", "", path, version2("192.0.2.7:4711", "198.51.100.1:80"), same, []string{"REMOTE_ADDR=192.0.2.7\n"}},
				{"TLS", balancer, gate.secureAddress(t), version2("192.0.2.7:4711", "198.51.100.1:443"), secure, []string{"REMOTE_ADDR=192.0.2.7\n", "HTTPS=on\n"}},
				{"its own connection", balancer, plain, version2("", ""), same, []string{"REMOTE_ADDR=127.0.0.8\n"}},
				{"unknown", balancer, plain, "PROXY UNKNOWN\r\n", same, []string{"REMOTE_ADDR=127.0.0.8\n"}},
				{"no header", balancer, plain, "", same, nil},
				{"half a header", balancer, plain, "PROXY TCP4 192.0.2.7 ", same, nil},
				{"somebody else", goodFrom, plain, "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n", same, nil},
				{"somebody else, version 2", goodFrom, plain, version2("192.0.2.7:4711", "198.51.100.1:80"), same, nil},
				{"somebody else, TLS", goodFrom, gate.secureAddress(t), version2("192.0.2.7:4711", "198.51.100.1:443"), secure, nil},
				{"somebody else, without a header", goodFrom, plain, "", same, []string{"REMOTE_ADDR=" + goodFrom + "\n"}},
			} {
				got, err := askBehind(dial(tc.from, tc.addr), tc.before, tc.over)
				if (err == nil) != (len(tc.want) > 0) {
					t.Errorf("%s: %q, %v", tc.name, got, err)
				}
				for _, want := range tc.want {
					if !strings.Contains(got+"\n", want) {
						t.Errorf("%s: there is no %q in\n%s", tc.name, want, got)
					}
				}
			}
			// What a loop leaves to net/http has the same address.
			c := dial(balancer, plain)
			_ = c.SetDeadline(time.Now().Add(patience))
			fmt.Fprintf(c, "PROXY TCP4 192.0.2.9 198.51.100.1 4711 80\r\nPOST /params HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\n\r\n")
			if text, err := io.ReadAll(c); err != nil || !strings.Contains(string(text), "REMOTE_ADDR=192.0.2.9\n") {
				t.Errorf("with a body in chunks: %q, %v", text, err)
			}
			gate.logs(t, "the PROXY protocol header of the load balancer is missing or malformed")
			eventually(t, "the access log has the client", func() error {
				if text := run(t, exec.Command("cat", access)); !strings.Contains(text, `"client":"192.0.2.9"`) || !strings.Contains(text, `"client":"2001:db8::7"`) {
					return errNotYet
				}
				return nil
			})
		})
	}
}

// HAProxy in front tells the clients' addresses, and finds that the gate is up.
func TestProxyProtocolOfHAProxy(t *testing.T) {
	gate, ca, _ := startSecure(t, append(startLibfcgi(t, 4).args(), "--proxy-protocol", "127.0.0.1")...)
	dir, front := t.TempDir(), freeAddress(t)
	write(t, filepath.Join(dir, "haproxy.cfg"), `
defaults
	mode tcp
	timeout connect 5s
	timeout client 30s
	timeout server 30s
	timeout check 30s
frontend in
	bind %s
	default_backend gate
backend gate
	option tcp-check
	server gate %s send-proxy-v2 check check-send-proxy inter 100ms
`, front, gate.secureAddress(t))
	balancer := start(t, exec.Command(need(t, "haproxy"), "-db", "-f", filepath.Join(dir, "haproxy.cfg")))
	awaitAddress(t, balancer, "tcp", front)
	for _, http2 := range []bool{false, true} {
		s := ca.secureSite(t, front, "localhost", http2)
		s.client.Transport.(*http.Transport).DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(goodFrom)}}).DialContext
		s.url = "https://" + front
		if params := s.get(t, "/params"); !strings.Contains(params, "REMOTE_ADDR="+goodFrom+"\n") || !strings.Contains(params, "HTTPS=on\n") {
			t.Errorf("HTTP/2 %v:\n%s", http2, params)
		}
	}
	if n := gate.lines("WARN"); n > 0 {
		t.Errorf("%d warnings:\n%s", n, gate.output)
	}
}

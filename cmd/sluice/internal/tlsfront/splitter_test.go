package tlsfront

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/accepted"
)

// Who speaks HTTP where TLS is spoken is told so, however long the request is.
func TestHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan net.Conn, 1)
	s := New(Config{
		TLS: new(tls.Config), Timeout: 10 * time.Second, Logger: slog.New(slog.DiscardHandler),
		Track: func(c net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				closed <- c
			}
		},
	}, accepted.Secure(l))
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	for _, more := range []int{0, 100, 4 << 10, 100 << 10} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.test\r\nCookie: "+strings.Repeat("x", more)+"\r\n\r\n"); err != nil {
			t.Error(err)
		}
		got, err := io.ReadAll(c)
		if err != nil || !strings.Contains(string(got), "write https://") {
			t.Errorf("with %d bytes more: %q, %v", more, got, err)
		}
		c.Close()
		<-closed
	}
	if got := s.Failed(); got != 4 {
		t.Errorf("%d have failed", got)
	}
	l.Close()
	if err := <-ended; err == nil {
		t.Error("it has ended without an error")
	}
}

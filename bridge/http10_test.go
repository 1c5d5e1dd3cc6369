package bridge_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// TestHTTP10 breaks an answer off towards a client for which the end of the
// connection is the end of the answer: it must see a reset, not an end.
func TestHTTP10(t *testing.T) {
	flushed := make(chan struct{})
	peer := fcgitest.StartUnix(t, fcgitest.Once(func(s *fcgitest.Session, r *fcgitest.Request) {
		s.Send(fcgitest.Out(r.ID, "X-Accel-Buffering: no\n\nThe first of "))
		<-flushed
	}))
	b, err := bridge.New(context.Background(), bridge.Config{ApplicationConfig: bridge.ApplicationConfig{Backends: []string{peer.Addr()}}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	server := httptest.NewServer(b)
	defer server.Close()

	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	buf := make([]byte, 1024)
	for !strings.Contains(got.String(), "The first of ") {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("after %q: %v", got.String(), err)
		}
		got.Write(buf[:n])
	}
	close(flushed)
	if n, err := c.Read(buf); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the broken answer ended with %d bytes and %v, want a reset", n, err)
	}
}

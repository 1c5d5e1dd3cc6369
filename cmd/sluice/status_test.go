package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
)

// statusServer returns the server of a status listener that permits these host names.
func statusServer(t *testing.T, s *server, hosts []string) *http.Server {
	t.Helper()
	l := newStatusListener(s, nothingInFront, connlimit.New(connlimit.Config{}), hosts)
	t.Cleanup(l.page.Close)
	return l.http
}

// serveStatus has a status server listen, with a time of its own for each request, and
// returns a connection to it.
func serveStatus(t *testing.T, s *http.Server, timeout time.Duration) net.Conn {
	t.Helper()
	if s.ReadTimeout != statusTimeout || s.WriteTimeout != statusTimeout {
		t.Fatalf("a request may take %v, its answer %v", s.ReadTimeout, s.WriteTimeout)
	}
	s.ReadTimeout, s.WriteTimeout = timeout, timeout
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		<-served
	})
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// Nobody holds one of the few connections by sending no body, or by taking no answers.
func TestStatusConnectionsEnd(t *testing.T) {
	of := testApplication(t, config.Application{Backends: []string{"unix:/run/app.sock"}})
	for name, text := range map[string]string{
		"no body":    "POST /status.json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
		"no answers": strings.Repeat("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 20_000),
	} {
		t.Run(name, func(t *testing.T) {
			s := statusServer(t, of, nil)
			ended := make(chan struct{})
			s.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					close(ended)
				}
			}
			c := serveStatus(t, s, 100*time.Millisecond)
			if _, err := io.WriteString(c, text); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Error("the connection is still open")
			}
		})
	}
}

// A restart may take longer than other requests.
func TestLongRestart(t *testing.T) {
	b := spawning(t, "sleep 1; "+accepting)
	s := statusServer(t, b, nil)
	s.ConnState = nil // there is no limit
	c := serveStatus(t, s, 200*time.Millisecond)
	if _, err := io.WriteString(c, "POST /restart HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(got), "restarted\n") {
		t.Errorf("%q, %v", got, err)
	}
}

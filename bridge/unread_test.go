package bridge_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// A request is refused before its body is read, and its client sends none of that: it is
// answered after the time that it has, and its connection ends.
func TestRefusedBodyThatNeverComes(t *testing.T) {
	for name, refuse := range map[string]func(*bridge.Config){
		"by the front": func(c *bridge.Config) {
			c.Identify = func(_ *http.Request, who *cgi.Client) {
				who.Refused = &cgi.RequestError{Status: http.StatusUnauthorized}
			}
		},
		"by the bridge": func(*bridge.Config) {},
		"as too large":  func(c *bridge.Config) { c.MaxBody = 100 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := bridge.Config{ApplicationConfig: bridge.ApplicationConfig{Backends: []string{"unix:/run/absent.sock"}}, SiteConfig: bridge.SiteConfig{Timeouts: config.RequestTimeouts{Client: config.Duration(50 * time.Millisecond)}}}
			refuse(&cfg)
			b, err := bridge.New(context.Background(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if cfg.Identify == nil && cfg.MaxBody == 0 {
				b.Close() // it refuses everything
			}
			server := httptest.NewServer(b)
			defer server.Close()
			c, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nsome"); err != nil {
				t.Fatal(err)
			}
			if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(c)
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains([]int{http.StatusUnauthorized, http.StatusServiceUnavailable, http.StatusRequestEntityTooLarge}, resp.StatusCode) {
				t.Errorf("got %s", resp.Status)
			}
			if _, err := io.Copy(io.Discard, in); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is still open")
			}
		})
	}
}

//go:build linux

package integration

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Variables no FastCGI server can take are refused before a worker is asked.
func TestOversizedHeaders(t *testing.T) {
	checkLeaks(t)
	be := startLibfcgi(t, 2)
	url, b := serveBridge(t, be.config())
	s := newSite(t, url)
	for what, fields := range map[string]int{"one field of 66,000 bytes": 1, "80 fields of 1,000": 80} {
		r := s.request(t, http.MethodGet, "/hello", nil)
		for i := range fields {
			r.Header.Set(fmt.Sprintf("X-Big-%d", i), strings.Repeat("v", max(1000, 66_000/(fields*fields))))
		}
		resp, _ := s.do(t, r)
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: %s", what, resp.Status)
		}
	}
	if got := b.Snapshot().Pool.Instances[0].Dials; got != 0 {
		t.Errorf("the application was asked: %d connections", got)
	}
	if got := s.get(t, "/hello"); got != "hello\n" {
		t.Errorf("afterwards got %q", got)
	}
}

// A body over the limit is refused, whether its length is announced or not, and
// no worker sees any of it.
func TestOversizedBodies(t *testing.T) {
	checkLeaks(t)
	be := startLibfcgi(t, 2)
	cfg := be.config()
	cfg.MaxBody = 100_000
	url, b := serveBridge(t, cfg)
	s := newSite(t, url)
	data := random(100_001)
	for what, body := range map[string]io.Reader{
		"announced": bytes.NewReader(data),
		"chunked":   io.MultiReader(bytes.NewReader(data)),
	} {
		resp, _ := s.do(t, s.request(t, http.MethodPost, "/body", body))
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %s", what, resp.Status)
		}
	}
	if got := b.Snapshot().Pool.Instances[0].Dials; got != 0 {
		t.Errorf("the application was asked: %d connections", got)
	}
	wantBody(t, s.post(t, "/body", data[:100_000]), data[:100_000])
}

// An application that is mounted at a prefix learns where.
func TestMount(t *testing.T) {
	checkLeaks(t)
	be := startLibfcgi(t, 1)
	cfg := be.config()
	cfg.Mount = "/sandbox"
	url, _ := serveBridge(t, cfg)
	s := newSite(t, url)
	got := vars(s.get(t, "/sandbox/params/a%2Fb"))
	if got["SCRIPT_NAME"] != "/sandbox" || got["PATH_INFO"] != "/params/a/b" {
		t.Errorf("SCRIPT_NAME is %q, PATH_INFO %q", got["SCRIPT_NAME"], got["PATH_INFO"])
	}
	if resp, _ := s.do(t, s.request(t, http.MethodGet, "/sandboxes/params/", nil)); resp.StatusCode != http.StatusNotFound {
		t.Errorf("outside the mount: %s", resp.Status)
	}
}

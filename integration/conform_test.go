//go:build linux

package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"slices"
	"testing"
)

// conform holds a backend, and each front before it, to what HTTP and CGI
// promise whatever the application is written in.
func conform(t *testing.T, be backend) {
	for name, front := range fronts {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			s := newSite(t, front(t, be)+be.prefix)
			t.Run("variables", func(t *testing.T) { conformVariables(t, be, s) })
			t.Run("bodies", func(t *testing.T) { conformBodies(t, s) })
			t.Run("continue", func(t *testing.T) { conformContinue(t, s) })
			t.Run("bodiless", func(t *testing.T) { conformBodiless(t, s) })
			t.Run("cookies", func(t *testing.T) { conformCookies(t, s) })
			t.Run("download", func(t *testing.T) { conformDownload(t, s) })
			for _, kind := range []string{"plain", "accel", "events"} {
				t.Run("stream "+kind, func(t *testing.T) { conformStream(t, s, kind) })
			}
			t.Run("truncated", func(t *testing.T) { conformTruncated(t, s) })
			t.Run("tokens", func(t *testing.T) { sendTokens(t, s, 200) })
		})
	}
}

func conformVariables(t *testing.T, be backend, s site) {
	if got := s.get(t, "/hello"); got != "hello\n" {
		t.Fatalf("got %q", got)
	}
	r := s.request(t, http.MethodGet, "/params/caf%C3%A9%20%2520/z?q=1&p=%20%26", nil)
	r.Header.Set("X-Its-Token", "a b")
	r.Header.Set("Proxy", "evil.example")
	r.Header["X_Its_Token"] = []string{"forged"}
	resp, body := s.do(t, r)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("got %s\n%s", resp.Status, head(body))
	}
	got := vars(body)
	want := map[string]string{
		"REQUEST_METHOD": "GET",
		"QUERY_STRING":   "q=1&p=%20%26",
		"REQUEST_URI":    be.prefix + "/params/caf%C3%A9%20%2520/z?q=1&p=%20%26",
	}
	if !be.ownVars {
		want["PATH_INFO"] = "/params/café %20/z"
		want["SCRIPT_NAME"] = be.prefix
		want["SERVER_PROTOCOL"] = "HTTP/1.1"
		want["HTTP_X_ITS_TOKEN"] = "a b"
		want["REMOTE_ADDR"] = "127.0.0.1"
	}
	if be.isHTTP {
		want["HTTP_X_FORWARDED_FOR"], want["HTTP_X_FORWARDED_PROTO"] = "127.0.0.1", "http"
		delete(want, "REQUEST_URI") // some servers do not tell
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %q, want %q", k, got[k], v)
		}
	}
	if v, ok := got["HTTP_PROXY"]; ok {
		t.Errorf("the client set HTTP_PROXY to %q", v)
	}
}

// random is n bytes that compress and repeat nowhere.
func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// wantBody checks an answer of /body to a request with that body.
func wantBody(t testing.TB, answer string, sent []byte) {
	t.Helper()
	want := fmt.Sprintf("content_length=%d\nlength=%d\nsha256=%x\n", len(sent), len(sent), sha256.Sum256(sent))
	if answer != want {
		t.Errorf("got\n%swant\n%s", head(answer), want)
	}
}

func conformBodies(t *testing.T, s site) {
	for _, n := range []int{1, 1000, 65535, 5_000_000} {
		data := random(n)
		wantBody(t, s.post(t, "/body", data), data)
	}
	data := random(300_000)
	if got := s.post(t, "/echo", data); got != string(data) {
		t.Errorf("/echo answered %d bytes, not the %d sent", len(got), len(data))
	}
	// A reader of unknown length makes the client send chunks; the
	// application must see a true CONTENT_LENGTH all the same.
	chunked := s.request(t, http.MethodPost, "/body", io.MultiReader(bytes.NewReader(data)))
	if chunked.ContentLength != 0 || chunked.Body == nil {
		t.Fatal("the upload is not chunked")
	}
	_, got := s.do(t, chunked)
	wantBody(t, got, data)
}

func conformContinue(t *testing.T, s site) {
	data := random(100_000)
	r := s.request(t, http.MethodPost, "/body", bytes.NewReader(data))
	r.Header.Set("Expect", "100-continue")
	continued := false
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got100Continue: func() { continued = true },
	}))
	_, got := s.do(t, r)
	wantBody(t, got, data)
	if !continued {
		t.Error("no 100 Continue")
	}
}

func conformBodiless(t *testing.T, s site) {
	resp, body := s.do(t, s.request(t, http.MethodHead, "/hello", nil))
	if resp.StatusCode != http.StatusOK || body != "" {
		t.Errorf("HEAD: %s, body %q", resp.Status, body)
	}
	for _, code := range []int{http.StatusNoContent, http.StatusNotModified, http.StatusTeapot} {
		resp, body := s.do(t, s.request(t, http.MethodGet, fmt.Sprint("/status?code=", code), nil))
		if resp.StatusCode != code || body != "" {
			t.Errorf("/status?code=%d: %s, body %q", code, resp.Status, body)
		}
	}
	resp, _ = s.do(t, s.request(t, http.MethodGet, "/nothing", nil))
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("unknown route: %s", resp.Status)
	}
	if got := s.get(t, "/hello"); got != "hello\n" {
		t.Errorf("afterwards got %q", got)
	}
}

func conformCookies(t *testing.T, s site) {
	resp, _ := s.do(t, s.request(t, http.MethodGet, "/cookies", nil))
	if got := resp.Header.Values("Set-Cookie"); !slices.Equal(got, []string{"a=1", "b=2"}) {
		t.Errorf("Set-Cookie is %q", got)
	}
}

func conformDownload(t *testing.T, s site) {
	const n = 64 << 20
	resp := s.open(t, t.Context(), fmt.Sprint("/download?n=", n))
	defer resp.Body.Close()
	if resp.ContentLength != n {
		t.Errorf("Content-Length is %d", resp.ContentLength)
	}
	wantPattern(t, resp.Body, n)
}

// conformStream reads each record before the application is let on to the
// next: a front that holds a record back never gets the one after it.
func conformStream(t *testing.T, s site, kind string) {
	const records = 4
	g := newGate(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp := s.open(t, ctx, fmt.Sprintf("/stream?n=%d&kind=%s&gate=%s", records, kind, g.dir))
	defer resp.Body.Close()
	for i := range records {
		wantNext(t, resp.Body, fmt.Sprintf("data: %d\n\n", i))
		g.pass(t)
	}
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("at the end: %q, error %v", rest, err)
	}
	want := map[string]string{"accel": "no"}[kind] // for an nginx in front
	if got := resp.Header.Get("X-Accel-Buffering"); got != want {
		t.Errorf("X-Accel-Buffering is %q, want %q", got, want)
	}
}

func conformTruncated(t *testing.T, s site) {
	resp, body, err := s.try(s.request(t, http.MethodGet, "/short", nil))
	if err == nil && resp.StatusCode == http.StatusOK {
		t.Errorf("10 bytes of a promised 1000 ended cleanly: %q", body)
	}
	if got := s.get(t, "/hello"); got != "hello\n" {
		t.Errorf("afterwards got %q", got)
	}
}

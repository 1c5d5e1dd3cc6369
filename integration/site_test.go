//go:build linux

package integration

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// site is a backend behind a gate, as a client sees it.
type site struct {
	url    string // with the prefix of the routes, no slash at the end
	client *http.Client
}

// newSite has a client of its own, whose connections end with the test.
func newSite(t testing.TB, url string) site {
	t.Helper()
	transport := &http.Transport{
		DisableCompression:    true,
		MaxIdleConnsPerHost:   256,
		ExpectContinueTimeout: patience,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return site{url: url, client: &http.Client{
		Transport:     transport,
		Timeout:       4 * patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// request builds a request to a route.
func (s site) request(t testing.TB, method, route string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+route, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// do returns the response to r and its whole body.
func (s site) do(t testing.TB, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, body, err := s.try(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	return resp, body
}

// try is do with an error in place of a failure.
func (s site) try(r *http.Request) (*http.Response, string, error) {
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// get returns the body of a 200 answer.
func (s site) get(t testing.TB, route string) string {
	t.Helper()
	resp, body := s.do(t, s.request(t, http.MethodGet, route, nil))
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s (Proxy-Status %q)\n%s", route, resp.Status, resp.Header.Get("Proxy-Status"), head(body))
	}
	return body
}

// post returns the body of a 200 answer.
func (s site) post(t testing.TB, route string, data []byte) string {
	t.Helper()
	resp, body := s.do(t, s.request(t, http.MethodPost, route, bytes.NewReader(data)))
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s\n%s", route, resp.Status, head(body))
	}
	return body
}

// open sends a GET that the caller reads and ends.
func (s site) open(t testing.TB, ctx context.Context, route string) *http.Response {
	t.Helper()
	resp, err := s.client.Do(s.request(t, http.MethodGet, route, nil).WithContext(ctx))
	if err != nil {
		t.Fatalf("GET %s: %v", route, err)
	}
	return resp
}

// background sends a GET and delivers its outcome.
func (s site) background(t testing.TB, ctx context.Context, route string) <-chan outcome {
	t.Helper()
	return s.deliver(s.request(t, http.MethodGet, route, nil).WithContext(ctx))
}

// deliver sends r in the background and delivers its outcome.
func (s site) deliver(r *http.Request) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		resp, body, err := s.try(r)
		o := outcome{body: body, err: err}
		if resp != nil {
			o.status = resp.StatusCode
		}
		done <- o
	}()
	return done
}

// piecemeal is a request body that a test sends piece by piece.
type piecemeal struct {
	*io.PipeWriter
	body   io.Reader
	length int64
}

// newPiecemeal returns a body that fails when ctx ends: a client's transport waits
// for its body before it reports that the request is cancelled.
func newPiecemeal(ctx context.Context, length int64) piecemeal {
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
	return piecemeal{PipeWriter: w, body: r, length: length}
}

// put sends a PUT with the upload and delivers the answer as soon as it begins.
// PUT, because PHP reads the body of a POST before the script runs.
func (s site) put(t testing.TB, ctx context.Context, route string, u piecemeal) <-chan answer {
	t.Helper()
	r := s.request(t, http.MethodPut, route, u.body).WithContext(ctx)
	r.ContentLength = u.length
	begun := make(chan answer, 1)
	go func() {
		resp, err := s.client.Do(r)
		begun <- answer{resp, err}
	}()
	return begun
}

// answer is the beginning of a response, or why there is none.
type answer struct {
	*http.Response
	err error
}

// outcome is what became of a request in the background.
type outcome struct {
	status int
	body   string
	err    error
}

// want fails unless the outcome is a 200 with that body.
func (o outcome) want(t testing.TB, body string) {
	t.Helper()
	if o.err != nil || o.status != http.StatusOK || o.body != body {
		t.Fatalf("got status %d, body %q, error %v; want 200 and %q", o.status, head(o.body), o.err, body)
	}
}

// wantCancelled fails unless the client itself ended the request.
func (o outcome) wantCancelled(t testing.TB) {
	t.Helper()
	if !errors.Is(o.err, context.Canceled) {
		t.Fatalf("got status %d, body %q, error %v; want the request to be cancelled", o.status, head(o.body), o.err)
	}
}

// wantNext fails unless those bytes come next.
func wantNext(t testing.TB, body io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(body, got); err != nil || string(got) != want {
		t.Fatalf("read %q, error %v; want %q", got[:n], err, want)
	}
}

// head is enough of a body for an error message.
func head(body string) string {
	const enough = 2000
	if len(body) <= enough {
		return body
	}
	return body[:enough] + "..."
}

// vars reads the NAME=VALUE lines of /params and /body.
func vars(body string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(body) {
		if k, v, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok {
			m[k] = v
		}
	}
	return m
}

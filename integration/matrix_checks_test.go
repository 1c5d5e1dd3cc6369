//go:build linux

package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	leaves  = "a long-poll that its client leaves frees its place in the gate within 2 s"
	killing = "an answer without a length is seen to be truncated when the application is killed"
	headers = "64 KiB of header fields"
	early   = "without request buffering, an answer arrives while the client still sends the body"
)

// matrixChecks are the rows of the table. A check returns "yes", or in a word or a status what is
// the case instead. Those that run beside each other are here, the others are named only.
var matrixChecks = []struct {
	name   string
	beside func(*testing.T, site) string
}{
	{"GET", func(t *testing.T, s site) string {
		return yes(s.get(t, "/hello") == "hello\n")
	}},
	{"HEAD", func(t *testing.T, s site) string {
		resp, body := s.do(t, s.request(t, http.MethodHead, "/hello", nil))
		return yes(resp.StatusCode == http.StatusOK && body == "" && s.get(t, "/hello") == "hello\n")
	}},
	{"POST of 1 MiB", func(t *testing.T, s site) string {
		data := random(1 << 20)
		wantBody(t, s.post(t, "/body", data), data)
		return yes(!t.Failed())
	}},
	{"POST in chunks, or without a length", func(t *testing.T, s site) string {
		data := random(300_000)
		_, got := s.do(t, s.request(t, http.MethodPost, "/body", io.MultiReader(bytes.NewReader(data))))
		wantBody(t, got, data)
		return yes(!t.Failed())
	}},
	{"each event arrives at once", func(t *testing.T, s site) string {
		streamThrough(t, s)
		return yes(!t.Failed())
	}},
	{leaves, nil},
	{"an answer of an application that does not read the body, 1 MiB, is complete", matrixEarly},
	{early, matrixStillSending},
	{"an answer that is shorter than its Content-Length is seen to be truncated", func(t *testing.T, s site) string {
		resp, _, err := s.try(s.request(t, http.MethodGet, "/short", nil))
		return yes((err != nil || resp.StatusCode >= 500) && s.get(t, "/hello") == "hello\n")
	}},
	{killing, nil},
	{"48 KiB of header fields", func(t *testing.T, s site) string { return matrixHeader(t, s, 12) }},
	{headers, func(t *testing.T, s site) string { return matrixHeader(t, s, 16) }},
}

// matrixHeader has fields of 4 KiB each.
func matrixHeader(t *testing.T, s site, fields int) string {
	r := s.request(t, http.MethodGet, "/params", nil)
	value := strings.Repeat("x", 4<<10)
	for i := range fields {
		r.Header.Set(fmt.Sprint("X-Long-", i), value)
	}
	resp, body := s.do(t, r)
	if resp.StatusCode != http.StatusOK {
		return strconv.Itoa(resp.StatusCode)
	}
	return yes(strings.Count(body, value) == fields)
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// matrixEarly has a body that the application does not read. An answer of known length is
// complete; one of unknown length is complete too, or the client sees that it is not.
func matrixEarly(t *testing.T, s site) string {
	body := random(1 << 20)
	resp, got, err := s.try(s.request(t, http.MethodPost, "/early", bytes.NewReader(body)))
	if err == nil && resp.StatusCode == http.StatusOK && got != "early\n" {
		t.Errorf("%q ends cleanly", got)
	}
	if err == nil && resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusBadGateway {
		t.Errorf("%s %q", resp.Status, head(got))
	}
	resp, got, err = s.try(s.request(t, http.MethodPost, "/download?n=1000", bytes.NewReader(body)))
	if err != nil {
		return err.Error()
	}
	if resp.StatusCode != http.StatusOK {
		return strconv.Itoa(resp.StatusCode)
	}
	wantPattern(t, strings.NewReader(got), 1000)
	return yes(!t.Failed())
}

// matrixStillSending has a client that stops in the middle of its body. Nothing in between may wait
// for the rest.
func matrixStillSending(t *testing.T, s site) string {
	body, client := io.Pipe()
	go func() { _, _ = client.Write(random(64 << 10)) }()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	context.AfterFunc(ctx, func() { _ = client.CloseWithError(ctx.Err()) }) // net/http waits for it
	r := s.request(t, http.MethodPost, "/download?n=1000", body).WithContext(ctx)
	r.ContentLength = 1 << 20
	resp, got, err := s.try(r)
	switch {
	case ctx.Err() != nil:
		return "no"
	case err != nil:
		return err.Error()
	case resp.StatusCode != http.StatusOK:
		return strconv.Itoa(resp.StatusCode)
	}
	wantPattern(t, strings.NewReader(got), 1000)
	return yes(!t.Failed())
}

// matrixLeaves needs an application without other requests.
func matrixLeaves(t *testing.T, in *matrixIn, app *matrixApp) string {
	inFlight := func(want int64) func() error {
		return func() error {
			if got := in.inFlight(t, app); got != want {
				return fmt.Errorf("%d requests are in flight, want %d", got, want)
			}
			return nil
		}
	}
	eventually(t, "nothing is in flight", inFlight(0))
	s := in.site(t, app, false)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	g := newGate(t)
	poll := s.background(t, ctx, "/wait?gate="+g.dir)
	g.entered(t, 1)
	eventually(t, "the long-poll is in flight", inFlight(1))
	leave()
	within(t, "the client leaves", poll).wantCancelled(t)
	result := "no"
	for left := time.Now(); time.Since(left) < 2*time.Second; time.Sleep(20 * time.Millisecond) {
		if inFlight(0)() == nil {
			result = "yes"
			break
		}
	}
	g.pass(t)
	eventually(t, "its place is free", inFlight(0))
	if got := s.get(t, "/hello"); got != "hello\n" {
		t.Errorf("afterwards got %q", got)
	}
	return result
}

// killed kills the application in the middle of an answer by each way in.
func (m *matrix) killed(t *testing.T, app *matrixApp) {
	g := newGate(t)
	open := make([]*http.Response, len(m.ins))
	for i, in := range m.ins {
		open[i] = in.site(t, app, false).open(t, t.Context(), "/stream?n=2&kind=events&gate="+g.dir)
		defer open[i].Body.Close()
		wantNext(t, open[i].Body, "data: 0\n\n")
	}
	if err := syscall.Kill(-app.process.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	defer all.Wait()
	for i, in := range m.ins {
		all.Go(func() {
			m.check(t, killing, in, app, func(t *testing.T) string {
				rest, err := io.ReadAll(open[i].Body)
				if len(rest) > 0 {
					t.Errorf("after the death of the application: %q", rest)
				}
				return yes(err != nil)
			})
		})
	}
}

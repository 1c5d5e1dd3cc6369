//go:build linux

package front_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// newCompressing is a rig that compresses, with at most so many answers at a time.
func newCompressing(t *testing.T, most int) *rig {
	return newRig(t, func(c *bridge.Config) {
		c.Compression = config.Compression{Scope: config.CompressAll, Most: most}
	}, nil)
}

// eachFront runs a test with both.
func (r *rig) eachFront(t *testing.T, f func(t *testing.T, addr string)) {
	t.Run("loop", func(t *testing.T) { f(t, r.loop) })
	t.Run("net", func(t *testing.T) { f(t, r.net) })
}

func ask(t *testing.T, c net.Conn, method, target, accept string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: a\r\nAccept-Encoding: %s\r\n\r\n", method, target, accept); err != nil {
		t.Fatal(err)
	}
}

// decoder returns the content of an answer as it was before it was compressed.
func decoder(t *testing.T, resp *http.Response) io.Reader {
	t.Helper()
	switch resp.Header.Get("Content-Encoding") {
	case "gzip":
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return z
	case "zstd":
		z, err := zstd.NewReader(resp.Body, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(z.Close)
		return z
	}
	return resp.Body
}

// Answers of every size are what the application has said, one after the other on a connection.
func TestCompressed(t *testing.T) {
	r := newCompressing(t, 8)
	r.eachFront(t, func(t *testing.T, addr string) {
		for _, coding := range []string{"gzip", "zstd"} {
			c := dial(t, addr)
			answers := bufio.NewReader(c)
			for _, n := range []int{1 << 10, 5000, 64 << 10, 300_000, 3 << 20} {
				for _, length := range []string{"", "&length=1"} {
					ask(t, c, "GET", fmt.Sprintf("/noise?n=%d%s", n, length), coding)
					resp, err := http.ReadResponse(answers, nil)
					if err != nil {
						t.Fatal(err)
					}
					h := resp.Header
					if h.Get("Content-Encoding") != coding || h.Get("Vary") != "Accept-Encoding" || h.Get("ETag") != `W/"noise"` || resp.ContentLength == int64(n) {
						t.Errorf("%d bytes: the header is %v, the length %d", n, h, resp.ContentLength)
					}
					body, err := io.ReadAll(decoder(t, resp))
					if err != nil || !bytes.Equal(body, noise(n)) {
						t.Errorf("%s of %d bytes: got %d, %v", coding, n, len(body), err)
					}
					_, _ = io.Copy(io.Discard, resp.Body)
				}
			}
			ask(t, c, "HEAD", "/noise?n=5000&length=1", coding)
			resp, err := http.ReadResponse(answers, &http.Request{Method: "HEAD"})
			if err != nil || resp.Header.Get("Content-Encoding") != coding || resp.Header.Get("Content-Length") != "" {
				t.Errorf("HEAD: %v, %v", resp, err)
			}
			fmt.Fprintf(c, "GET /tagged HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nIf-None-Match: W/\"noise\"\r\n\r\n")
			if resp, err = http.ReadResponse(answers, nil); err != nil || resp.StatusCode != 304 || resp.Header.Get("ETag") != `W/"noise"` {
				t.Errorf("304: %v, %v", resp, err)
			}
			ask(t, c, "GET", "/noise?n=5000", "identity")
			if resp, err = http.ReadResponse(answers, nil); err != nil || resp.Header.Get("Content-Encoding") != "" || resp.Header.Get("ETag") != `"noise"` || resp.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("as it is: %v, %v", resp, err)
			}
		}
	})
	r.wantIdle(t)
}

// What the application flushes reaches the client before it goes on.
func TestCompressedStream(t *testing.T) {
	r := newCompressing(t, 8)
	r.eachFront(t, func(t *testing.T, addr string) {
		for _, coding := range []string{"gzip", "zstd"} {
			c := dial(t, addr)
			ask(t, c, "GET", "/steps", coding)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(decoder(t, resp))
			for i := range 3 {
				if line, err := lines.ReadString('\n'); err != nil || line != fmt.Sprintf("step %d\n", i) {
					t.Errorf("got %q, %v", line, err)
				}
				r.steps <- struct{}{}
			}
			if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
				t.Errorf("and then %q, %v", rest, err)
			}
			_ = c.Close()
		}
	})
}

// An answer that the application breaks off ends neither in HTTP nor in its coding.
func TestCompressedCut(t *testing.T) {
	r := newCompressing(t, 8)
	r.eachFront(t, func(t *testing.T, addr string) {
		for _, version := range []string{"1.1", "1.0"} {
			c := dial(t, addr)
			fmt.Fprintf(c, "GET /cut?n=300000 HTTP/%s\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n", version)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			sent, err := io.ReadAll(resp.Body)
			if err == nil {
				t.Errorf("HTTP/%s: the answer looks complete, with %d bytes", version, len(sent))
			}
			if version == "1.0" {
				continue // is not compressed: its length was announced
			}
			z, err := gzip.NewReader(bytes.NewReader(sent))
			if err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(z); err == nil || !bytes.HasPrefix(noise(300_000), text) || len(text) == 0 {
				t.Errorf("in gzip, it is %d bytes, %v", len(text), err)
			}
		}
	})
	r.wantIdle(t)
}

// A slow client gets every byte, although the application has long been free, and those that leave take
// no encoder with them.
func TestCompressedSlowReader(t *testing.T) {
	const size = 12 << 20
	r := newCompressing(t, 1)
	r.eachFront(t, func(t *testing.T, addr string) {
		for range 3 {
			leaving := dial(t, addr)
			_ = leaving.SetReadBuffer(16 << 10)
			ask(t, leaving, "GET", fmt.Sprintf("/noise?n=%d", size), "gzip")
			if _, err := leaving.Read(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			_ = leaving.SetLinger(0)
			_ = leaving.Close()
		}
		eventually(t, "the encoder is free again", func() error {
			c := dial(t, addr)
			ask(t, c, "GET", "/noise?n=5000", "gzip")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				return err
			}
			if got := resp.Header.Get("Content-Encoding"); got != "gzip" {
				return fmt.Errorf("Content-Encoding is %q", got)
			}
			return nil
		})
		c := dial(t, addr)
		_ = c.SetReadBuffer(16 << 10)
		ask(t, c, "GET", fmt.Sprintf("/noise?n=%d", size), "gzip")
		time.Sleep(300 * time.Millisecond)
		r.wantIdle(t)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Content-Encoding"); got != "gzip" {
			t.Errorf("Content-Encoding is %q", got)
		}
		other := dial(t, addr)
		ask(t, other, "GET", "/noise?n=5000", "gzip")
		second, err := http.ReadResponse(bufio.NewReader(other), nil)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(second.Header.Get("Content-Encoding"), "gzip") {
			t.Error("there are two encoders, want one at most")
		}
		if got := r.handler.Snapshot().Compression; got.InUse != 1 || got.Lacked == 0 {
			t.Errorf("while one answer is sent, and after another one: %+v", got)
		}
		body, err := io.ReadAll(decoder(t, resp))
		if err != nil || !bytes.Equal(body, noise(size)) {
			t.Errorf("got %d bytes, %v", len(body), err)
		}
		eventually(t, "no encoder is in use", func() error {
			if n := r.handler.Snapshot().Compression.InUse; n != 0 {
				return fmt.Errorf("%d are", n)
			}
			return nil
		})
	})
}

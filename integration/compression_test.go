//go:build linux

package integration

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// Files are compressed while they are sent, or before, and are the same file for conditional requests; a
// reload applies other rules. Both fronts do the same.
func TestCompressedFiles(t *testing.T) {
	style := strings.Repeat("body { margin: 0 }\n", 500)
	root := tree(t, "index.php", "image.png.gz")
	for name, text := range map[string]string{"style.css": style, "image.png": strings.Repeat("not an image ", 500), "made.css": style} {
		write(t, filepath.Join(root, name), "%s", text)
	}
	write(t, filepath.Join(root, "made.css.br"), "in brotli") // after what it was made from
	be := startFPM(t, fpmOptions{root: root, workers: 1})
	for _, front := range []string{"loop", "net"} {
		t.Run(front, func(t *testing.T) {
			text := fmt.Sprintf("[[application]]\nname = \"php\"\npreset = \"php\"\nbackends = [%q]\nworkers = 1\n[[site]]\nroot = %q\nstatic_precompressed = [\"br\"]\n", be.addr, root)
			g := startConfigured(t, fmt.Sprintf("front = %q", front), text+"compression.scope = \"static\"\n")
			ask := func(method, path string, fields ...string) (*http.Response, string) {
				r := g.app.request(t, method, path, nil)
				for i := 0; i < len(fields); i += 2 {
					r.Header.Set(fields[i], fields[i+1])
				}
				return g.app.do(t, r)
			}
			plain, body := ask("GET", "/style.css")
			if body != style || plain.Header.Get("Content-Encoding") != "" || plain.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("as it is: %v, %d bytes", plain.Header, len(body))
			}
			packed, body := ask("GET", "/style.css", "Accept-Encoding", "gzip")
			z, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			unpacked, err := io.ReadAll(z)
			tag := packed.Header.Get("ETag")
			if err != nil || string(unpacked) != style || tag != "W/"+plain.Header.Get("ETag") || packed.Header.Get("Accept-Ranges") != "" {
				t.Errorf("compressed: %v, %d bytes, %v", packed.Header, len(unpacked), err)
			}
			if resp, _ := ask("GET", "/style.css", "Accept-Encoding", "gzip", "If-None-Match", tag); resp.StatusCode != 304 || resp.Header.Get("ETag") != tag || resp.Header.Get("Vary") == "" {
				t.Errorf("again: %s %v", resp.Status, resp.Header)
			}
			if resp, _ := ask("HEAD", "/style.css", "Accept-Encoding", "gzip"); resp.Header.Get("Content-Encoding") != "gzip" || resp.Header.Get("ETag") != tag || resp.ContentLength >= 0 {
				t.Errorf("HEAD: %d %v", resp.ContentLength, resp.Header)
			}
			if resp, body := ask("GET", "/style.css", "Accept-Encoding", "gzip", "Range", "bytes=5-8"); resp.StatusCode != 206 || body != style[5:9] || resp.Header.Get("Content-Encoding") != "" {
				t.Errorf("a part: %s %q", resp.Status, head(body))
			}
			if resp, _ := ask("GET", "/image.png", "Accept-Encoding", "gzip"); resp.Header.Get("Content-Encoding") != "" {
				t.Errorf("an image: %v", resp.Header)
			}
			resp, body := ask("GET", "/made.css", "Accept-Encoding", "gzip, br")
			if resp.Header.Get("Content-Encoding") != "br" || body != "in brotli" || resp.ContentLength != 9 || resp.Header.Get("Content-Type") != "text/css; charset=utf-8" || strings.Contains(resp.Header.Get("ETag"), "W/") {
				t.Errorf("compressed before: %v %q", resp.Header, head(body))
			}
			if again, _ := ask("GET", "/made.css", "Accept-Encoding", "br", "If-None-Match", resp.Header.Get("ETag")); again.StatusCode != 304 {
				t.Errorf("compressed before, again: %s", again.Status)
			}
			if resp, body := ask("GET", "/made.css", "Accept-Encoding", "br", "Range", "bytes=3-"); resp.StatusCode != 206 || body != "brotli" || resp.Header.Get("Content-Encoding") != "br" {
				t.Errorf("a part of what was compressed before: %s %q %v", resp.Status, head(body), resp.Header)
			}

			g.configure(t, fmt.Sprintf("front = %q", front), text+"redirect = [\"/style.css /made.css 301\"]\n")
			g.reloaded(t)
			lookup{"/style.css", 301, "/made.css", ""}.check(t, g.app)
			if resp, _ := ask("GET", "/made.css", "Accept-Encoding", "gzip"); resp.Header.Get("Content-Encoding") != "" {
				t.Errorf("after the reload: %v", resp.Header)
			}
		})
	}
}

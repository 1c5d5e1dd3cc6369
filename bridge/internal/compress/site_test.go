package compress

import (
	"bytes"
	"compress/gzip"
	"html"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// newSite returns a site with a configuration that is completed as those of sites are.
func newSite(t testing.TB, change func(*config.Compression)) *Site {
	t.Helper()
	cfg := config.Site{Compression: config.Compression{Scope: config.CompressAll}}
	if change != nil {
		change(&cfg.Compression)
	}
	if err := cfg.Complete(); err != nil {
		t.Fatal(err)
	}
	s, err := New(&cfg.Compression, new(Counts))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// header makes a header of pairs.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

// TestBegin has what is decided about answers of 5,000 bytes.
func TestBegin(t *testing.T) {
	const vary = "Accept-Encoding"
	for name, c := range map[string]struct {
		scope        config.CompressionScope // "": all
		head, http10 bool
		asks         []string // fields of the request; nil: it takes gzip
		user         string
		status       int   // 0: 200
		size         int64 // 0: 5,000
		file         bool
		said         []string
		want         map[string]string // of the header
		encodes      bool
	}{
		"a page":         {said: []string{"Content-Type", "text/html; charset=utf-8", "Content-Length", "5000", "ETag", `"a"`, "Accept-Ranges", "bytes"}, encodes: true, want: map[string]string{"Content-Encoding": "gzip", "Vary": vary, "Etag": `W/"a"`}},
		"a weak tag":     {said: []string{"Content-Type", "TEXT/HTML", "ETag", `W/"a"`, "Vary", "Cookie"}, encodes: true, want: map[string]string{"Content-Encoding": "gzip", "Vary": "Cookie|" + vary, "Etag": `W/"a"`}},
		"SVG":            {said: []string{"Content-Type", "image/svg+xml"}, encodes: true},
		"of no size yet": {size: -1, said: []string{"Content-Type", "text/html"}, encodes: true},
		"small":          {size: 1023, said: []string{"Content-Type", "text/html", "ETag", `"a"`}, want: map[string]string{"Etag": `"a"`}},
		"not wanted":     {asks: []string{}, said: []string{"Content-Type", "text/html", "ETag", `"a"`, "Content-Length", "5000"}, want: map[string]string{"Vary": vary, "Etag": `"a"`, "Content-Length": "5000"}},
		"an image":       {said: []string{"Content-Type", "image/png"}, want: map[string]string{}},
		"of no type":     {want: map[string]string{}},
		"events":         {size: -1, said: []string{"Content-Type", "text/event-stream"}, want: map[string]string{}},
		"encoded":        {said: []string{"Content-Type", "text/html", "Content-Encoding", "br"}, want: map[string]string{"Content-Encoding": "br"}},
		"a part":         {status: 206, said: []string{"Content-Type", "text/html", "Content-Range", "bytes 0-4999/9999"}, want: map[string]string{"Content-Range": "bytes 0-4999/9999"}},
		"no-transform":   {said: []string{"Content-Type", "text/html", "Cache-Control", "public, No-Transform"}, want: map[string]string{"Cache-Control": "public, No-Transform"}},
		"with a digest":  {said: []string{"Content-Type", "text/html", "Content-Digest", "sha-256=:x:"}, want: map[string]string{"Content-Digest": "sha-256=:x:"}},
		"204":            {status: 204, said: []string{"Content-Type", "text/html"}, want: map[string]string{}},
		"404":            {status: 404, said: []string{"Content-Type", "text/html"}, encodes: true},
		"HEAD":           {head: true, said: []string{"Content-Type", "text/html", "Content-Length", "5000", "ETag", `"a"`}, want: map[string]string{"Content-Encoding": "gzip", "Vary": vary, "Etag": `W/"a"`}},
		"HTTP/1.0":       {http10: true, said: []string{"Content-Type", "text/html", "Content-Length", "5000"}, want: map[string]string{"Vary": vary, "Content-Length": "5000"}},
		"304":            {status: 304, asks: []string{"Accept-Encoding", "gzip", "If-None-Match", `"b", W/"a"`}, said: []string{"ETag", `"a"`}, want: map[string]string{"Etag": `W/"a"`, "Vary": vary}},
		"304, strong":    {status: 304, asks: []string{"Accept-Encoding", "gzip", "If-None-Match", `"a"`}, said: []string{"ETag", `"a"`}, want: map[string]string{"Etag": `"a"`}},

		"public":                {scope: config.CompressPublic, said: []string{"Content-Type", "text/html"}, encodes: true},
		"public, cookie":        {scope: config.CompressPublic, asks: []string{"Accept-Encoding", "gzip", "Cookie", "session=1"}, said: []string{"Content-Type", "text/html"}, want: map[string]string{}},
		"public, credentials":   {scope: config.CompressPublic, asks: []string{"Accept-Encoding", "gzip", "Authorization", "Basic x"}, said: []string{"Content-Type", "text/html"}, want: map[string]string{}},
		"public, user":          {scope: config.CompressPublic, user: "ann", said: []string{"Content-Type", "text/html"}, want: map[string]string{}},
		"public, sets a cookie": {scope: config.CompressPublic, said: []string{"Content-Type", "text/html", "Set-Cookie", "a=b"}, want: map[string]string{"Set-Cookie": "a=b"}},
		"public, file":          {scope: config.CompressPublic, file: true, asks: []string{"Accept-Encoding", "gzip", "Cookie", "session=1"}, said: []string{"Content-Type", "text/css"}, encodes: true},
		"static":                {scope: config.CompressStatic, said: []string{"Content-Type", "text/html"}, want: map[string]string{}},
		"static, file":          {scope: config.CompressStatic, file: true, said: []string{"Content-Type", "text/css"}, encodes: true},
		"off":                   {scope: config.CompressOff, file: true, said: []string{"Content-Type", "text/css"}, want: map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(cfg *config.Compression) {
				if c.scope != "" {
					cfg.Scope = c.scope
				}
			})
			asked := header("Accept-Encoding", "gzip")
			if c.asks != nil {
				asked = header(c.asks...)
			}
			a := Answer{Asked: asked, Head: c.head, User: c.user, Header: header(c.said...), Status: http.StatusOK, Size: 5000, File: c.file, Delimited: !c.http10}
			if c.status != 0 {
				a.Status = c.status
			}
			if c.size != 0 {
				a.Size = c.size
			}
			contentType := a.Header.Get("Content-Type")
			e := s.Begin(a)
			if (e != nil) != c.encodes {
				t.Fatalf("there is an encoder: %v, want %v", e != nil, c.encodes)
			}
			if e != nil {
				e.Release()
			}
			if a.Header.Get("Content-Type") != contentType {
				t.Errorf("the type becomes %q", a.Header.Get("Content-Type"))
			}
			if c.want == nil {
				return
			}
			got := make(map[string]string)
			for name := range a.Header {
				got[name] = strings.Join(a.Header[name], "|")
			}
			delete(got, "Content-Type")
			if !maps.Equal(got, c.want) {
				t.Errorf("the header is %v, want %v", got, c.want)
			}
		})
	}
}

// plain decompresses.
func plain(t testing.TB, coding string, p []byte) (string, error) {
	t.Helper()
	var (
		r   io.Reader
		err error
	)
	if coding == Gzip {
		r, err = gzip.NewReader(bytes.NewReader(p))
	} else {
		var z *zstd.Decoder
		if z, err = zstd.NewReader(bytes.NewReader(p), zstd.WithDecoderConcurrency(1)); err == nil {
			defer z.Close()
		}
		r = z
	}
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), err
}

func newAnswer(coding string) Answer {
	return Answer{Asked: header("Accept-Encoding", coding), Header: header("Content-Type", "text/html"), Status: http.StatusOK, Size: -1, Delimited: true}
}

// What was written can be read after each flush, is complete only after the end, and nothing of an
// answer that was broken off is in the next one.
func TestEncoder(t *testing.T) {
	for _, coding := range []string{Gzip, Zstd} {
		for _, level := range []config.CompressionLevel{config.LevelFast, config.LevelUsual, config.LevelBest} {
			t.Run(coding+" "+string(level), func(t *testing.T) {
				s := newSite(t, func(cfg *config.Compression) { cfg.Level, cfg.Most = level, 1 })
				broken := s.Begin(newAnswer(coding))
				broken.Write([]byte(strings.Repeat("of the one before", 10_000)))
				if e := s.Begin(newAnswer(coding)); e != nil {
					t.Error("there are two encoders, want one at most")
				}
				broken.Release()

				e := s.Begin(newAnswer(coding))
				defer e.Release()
				var sent []byte
				var want strings.Builder
				for i, piece := range []string{"one", "", strings.Repeat("two ", 70_000), "three"} {
					sent = append(sent, e.Write([]byte(piece))...)
					sent = append(sent, e.Flush()...)
					if again := e.Flush(); len(again) > 0 {
						t.Errorf("a second flush returns %d bytes", len(again))
					}
					want.WriteString(piece)
					if got, err := plain(t, coding, sent); got != want.String() || err == nil {
						t.Errorf("after piece %d, %d bytes can be read, want %d; the error is %v, want one", i, len(got), len(want.String()), err)
					}
				}
				sent = append(sent, e.End()...)
				if got, err := plain(t, coding, sent); got != want.String() || err != nil {
					t.Errorf("%d bytes, %v, want %d", len(got), err, len(want.String()))
				}
				if again := e.End(); len(again) > 0 {
					t.Errorf("a second end returns %d bytes", len(again))
				}
			})
		}
	}
}

func TestErrors(t *testing.T) {
	for want, cfg := range map[string]config.Compression{
		`compression.encodings: "br": want gzip or zstd`:       {Encodings: []string{"br"}},
		`compression.encodings: "gzip" is there twice`:         {Encodings: []string{"gzip", "gzip"}},
		`compression.types: "text": want a content type`:       {Types: []string{"text"}},
		`compression.types: "text/html;x=y": want a content t`: {Types: []string{"text/html;x=y"}},
	} {
		if _, err := New(&cfg, new(Counts)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// page is 30 KiB of HTML with the text of this program's documentation.
func page(b *testing.B) []byte {
	var p bytes.Buffer
	for _, name := range []string{"configuration.md", "files.md", "front.md", "processes.md", "admission.md"} {
		text, err := os.ReadFile("../../../docs/" + name)
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			p.WriteString(`<li class="level1"><div class="li">` + html.EscapeString(strings.TrimSpace(line)) + "</div></li>\n")
		}
	}
	return p.Bytes()[:30<<10]
}

// BenchmarkPage compresses a page.
func BenchmarkPage(b *testing.B) {
	page := page(b)
	for _, coding := range []string{Gzip, Zstd} {
		for _, level := range []config.CompressionLevel{config.LevelFast, config.LevelUsual, config.LevelBest} {
			b.Run(coding+" "+string(level), func(b *testing.B) {
				s := newSite(b, func(cfg *config.Compression) { cfg.Level = level })
				b.ReportAllocs()
				b.SetBytes(int64(len(page)))
				a := newAnswer(coding)
				n := 0
				for b.Loop() {
					clear(a.Header)
					a.Header["Content-Type"] = []string{"text/html"}
					e := s.Begin(a)
					n = len(e.Write(page))
					n += len(e.End())
					e.Release()
				}
				b.ReportMetric(float64(n), "compressed-bytes")
			})
		}
	}
}

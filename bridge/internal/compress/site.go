package compress

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/content"
)

// The codings, as fields of HTTP name them.
const (
	Gzip = "gzip"
	Zstd = "zstd"
)

// usualTypes are patterns of the content types of text, which is what can be compressed.
var usualTypes = []string{
	"text/*", "*+xml", "*+json", "application/javascript", "application/x-javascript", "application/json", "application/xml",
	"application/wasm", "application/rtf", "application/vnd.ms-fontobject", "font/ttf", "font/otf", "image/bmp", "image/x-icon",
}

// Site compresses the answers of a site. A nil *Site compresses none.
type Site struct {
	scope   config.CompressionScope
	codings []string // the best one first
	types   []string // patterns
	minSize int64
	level   config.CompressionLevel
	most    int64

	inUse  atomic.Int64
	counts *Counts
	pools  []sync.Pool // of *Encoder, for each coding
}

// Counts are about the encoders of all sites that have them.
type Counts struct {
	InUse  atomic.Int64
	Lacked atomic.Uint64 // answers that were sent as they are because all encoders of the site were in use
}

// New returns what compresses as a complete cfg says, nil if nothing is to be. It is one of those that
// counts are about. An error begins with the key.
func New(cfg *config.Compression, counts *Counts) (*Site, error) {
	s := &Site{counts: counts, scope: cfg.Scope, codings: cfg.Encodings, types: usualTypes, minSize: cfg.MinSize, level: cfg.Level, most: int64(cfg.Most)}
	if len(s.codings) == 0 {
		s.codings = []string{Gzip, Zstd}
	}
	for i, coding := range s.codings {
		switch {
		case coding != Gzip && coding != Zstd:
			return nil, fmt.Errorf("compression.encodings: %q: want gzip or zstd (files in br are sent by static_precompressed)", coding)
		case slices.Contains(s.codings[:i], coding):
			return nil, fmt.Errorf("compression.encodings: %q is there twice", coding)
		}
	}
	if len(cfg.Types) > 0 {
		s.types = make([]string, len(cfg.Types))
	}
	for i, text := range cfg.Types {
		if strings.ContainsAny(text, "; \t\r\n") || !strings.Contains(text, "/") && !strings.HasPrefix(text, "*") {
			return nil, fmt.Errorf("compression.types: %q: want a content type without parameters, such as text/html, text/* or *+xml", text)
		}
		s.types[i] = strings.ToLower(text)
	}
	s.pools = make([]sync.Pool, len(s.codings))
	if s.scope == config.CompressOff {
		return nil, nil
	}
	return s, nil
}

// Answer is what is known of an answer before it is sent.
type Answer struct {
	Asked  http.Header // of the request
	Head   bool        // its method is HEAD
	User   string      // who has logged in, "" for nobody
	Header http.Header // of the answer
	Status int
	Size   int64 // of the content in bytes, -1 if it is not known
	File   bool  // it is a file that is sent
	// Delimited says that the client can tell the end of a content of which the length is not known when
	// its header is sent, which HTTP/1.0 cannot, or that the length will be known.
	Delimited bool
}

// Begin decides whether an answer is compressed, and changes its header accordingly. It returns nil
// if there is no content to compress. The header has no Content-Length if the answer is compressed,
// or would be if it were for GET.
func (s *Site) Begin(a Answer) *Encoder {
	if s == nil {
		return nil
	}
	if a.Status == http.StatusNotModified {
		s.notModified(&a)
		return nil
	}
	if !s.applies(&a) {
		return nil
	}
	cgi.VaryByCoding(a.Header)
	coding := cgi.Coding(a.Asked, s.codings)
	if coding == "" || !a.Delimited {
		return nil
	}
	if a.Head {
		change(a.Header, coding)
		return nil
	}
	e := s.acquire(coding)
	if e != nil {
		change(a.Header, coding)
	}
	return e
}

// applies reports whether an answer may be compressed for a client that likes it so.
func (s *Site) applies(a *Answer) bool {
	h := a.Header
	switch {
	case content.None(a.Status), a.Status == http.StatusPartialContent, a.Size >= 0 && a.Size < s.minSize:
		return false
	case !s.inScope(a), !s.isType(first(h, "Content-Type")):
		return false
	case len(h["Content-Encoding"]) > 0, len(h["Content-Range"]) > 0:
		return false
	case len(h["Content-Digest"]) > 0, len(h["Repr-Digest"]) > 0, len(h["Digest"]) > 0, len(h["Content-Md5"]) > 0:
		return false
	}
	return !noTransform(h)
}

// inScope reports whether answers like this are compressed at all. One that everybody gets has no
// secret in it that its length could give away.
func (s *Site) inScope(a *Answer) bool {
	switch s.scope {
	case config.CompressAll:
		return true
	case config.CompressPublic:
		r := a.Asked
		return a.File || a.User == "" && len(r["Cookie"]) == 0 && len(r["Authorization"]) == 0 && len(a.Header["Set-Cookie"]) == 0
	}
	return a.File
}

func (s *Site) isType(value string) bool {
	mediaType, _, _ := strings.Cut(value, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	return mediaType != "" && mediaType != "text/event-stream" &&
		slices.ContainsFunc(s.types, func(pattern string) bool { return cgi.Matches(pattern, mediaType) })
}

func noTransform(h http.Header) bool {
	for _, line := range h["Cache-Control"] {
		for directive := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(directive), "no-transform") {
				return true
			}
		}
	}
	return false
}

func first(h http.Header, name string) string {
	if lines := h[name]; len(lines) > 0 {
		return lines[0]
	}
	return ""
}

// change has a header be that of a compressed answer. Its entity tag is a weak one: the bytes are not
// those that the application has named.
func change(h http.Header, coding string) {
	h["Content-Encoding"] = []string{coding}
	delete(h, "Content-Length")
	delete(h, "Accept-Ranges")
	if tag := first(h, "Etag"); strings.HasPrefix(tag, `"`) {
		h["Etag"] = []string{"W/" + tag}
	}
}

// notModified has a 304 name what the client has: if that was compressed, by a weak entity tag.
func (s *Site) notModified(a *Answer) {
	if cgi.Coding(a.Asked, s.codings) == "" || !s.inScope(a) {
		return
	}
	tag := first(a.Header, "Etag")
	if !strings.HasPrefix(tag, `"`) {
		return
	}
	for _, line := range a.Asked["If-None-Match"] {
		if strings.Contains(line, "W/"+tag) {
			cgi.VaryByCoding(a.Header)
			a.Header["Etag"] = []string{"W/" + tag}
			return
		}
	}
}

// acquire returns an encoder, which its user must release; nil if there are enough of them.
func (s *Site) acquire(coding string) *Encoder {
	if s.inUse.Add(1) > s.most {
		s.inUse.Add(-1)
		s.counts.Lacked.Add(1)
		return nil
	}
	s.counts.InUse.Add(1)
	kind := slices.Index(s.codings, coding)
	e, ok := s.pools[kind].Get().(*Encoder)
	if !ok {
		e = &Encoder{site: s, kind: kind, w: newWriter(coding, s.level)}
	}
	e.dirty, e.ended = false, false
	e.w.Reset(&e.out)
	return e
}

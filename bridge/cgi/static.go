package cgi

import (
	"mime"
	"path"
	"slices"
	"strings"
)

// The values of Config.Static: which files may be sent as they are.
const (
	StaticOff   = "off"   // none
	StaticUsual = "usual" // those of the usual types, and what is below /.well-known/
	StaticAll   = "all"   // every file that is neither a script nor the source or a copy of one
)

// usualTypes has the extensions of the files that are sent as they are. A list of what may be
// sent is safer than one of what may not: an application's tree is full of configuration, data
// and backups of scripts that must never leave it. Plain text is data to many applications, so
// of .txt only robots.txt is sent.
var usualTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".map": "application/json", ".wasm": "application/wasm", ".webmanifest": "application/manifest+json",
	".html": "text/html", ".htm": "text/html", ".txt": "text/plain; charset=utf-8", ".pdf": "application/pdf",
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".svg": "image/svg+xml",
	".webp": "image/webp", ".avif": "image/avif", ".ico": "image/x-icon", ".cur": "image/x-icon",
	".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf", ".eot": "application/vnd.ms-fontobject",
	".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".mp4": "video/mp4", ".webm": "video/webm",
}

// wellKnown is the path prefix of public files (RFC 8615).
const wellKnown = "/.well-known/"

// contentType returns the type by a file's extension. No charset is guessed: the file may name it.
func contentType(name string) string {
	ext := strings.ToLower(path.Ext(name))
	if t, ok := usualTypes[ext]; ok {
		return t
	}
	t, _, _ := strings.Cut(mime.TypeByExtension(ext), ";")
	if t == "" {
		return "application/octet-stream"
	}
	return t
}

// statics says which files may be sent.
type statics struct {
	mode  string
	types map[string]struct{} // further extensions, ".zip"
	below []string            // paths relative to the mount; everything below them
	dirs  []staticDir

	missing       bool // what is not there, below the above, is answered with 404
	cache         []cacheRule
	precompressed []string // codings of files beside others
}

// staticDir is a directory outside the root whose files have a path of their own.
type staticDir struct {
	prefix string
	dir    string
	root   *Root // nil: not opened yet
}

// allows reports whether the name of the file at p, a path relative to the mount, permits
// sending it.
func (s *statics) allows(p string) bool {
	if s.mode == StaticAll {
		return true
	}
	ext := strings.ToLower(path.Ext(p))
	if _, ok := s.types[ext]; ok {
		return true
	}
	if p = path.Clean(p); s.isBelow(p) {
		return true
	}
	if s.mode != StaticUsual {
		return false
	}
	_, usual := usualTypes[ext]
	return usual && (ext != ".txt" || path.Base(p) == "robots.txt") || strings.HasPrefix(p, wellKnown)
}

// anyBelowRoot reports whether files below the root are sent at all.
func (s *statics) anyBelowRoot() bool {
	return s.mode == StaticAll || s.mode == StaticUsual || len(s.types) > 0 || len(s.below) > 0
}

// refusal returns the answer for a file that exists and is not sent.
func (s *statics) refusal(rest string) *RequestError {
	if !s.anyBelowRoot() {
		return notFound("%.200q is a file and not sent, because no files are (to have some sent, set static: --static)", rest)
	}
	return notFound("%.200q is a file and not sent: its type is not in static or static_types, nor is it below static_dirs (--static-types, --static-dirs)", rest)
}

// ends reports whether nothing else answers for the path rest, relative to the mount, if there is no
// file below the root.
func (s *statics) ends(rest string) bool { return s.missing && s.isBelow(path.Clean(rest)) }

// isBelow reports whether the clean path p, relative to the mount, is one below which all files are sent.
func (s *statics) isBelow(p string) bool {
	return slices.ContainsFunc(s.below, func(prefix string) bool { return isBelow(prefix, p) })
}

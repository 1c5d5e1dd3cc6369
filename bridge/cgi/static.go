package cgi

import (
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"os"
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
	p = path.Clean(p)
	if slices.ContainsFunc(s.below, func(prefix string) bool { return isBelow(prefix, p) }) {
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

// StaticFile returns the name of the file below Root that r requests, if it may be sent as it
// is: it exists; Static, StaticTypes or StaticDirs include it; it is neither a script nor the
// source or a backup of one; and no element of its name starts with a dot, except
// /.well-known/.
func (m *Mapper) StaticFile(r *http.Request) (name string, ok bool) {
	p, err := CleanPath(r)
	if err != nil {
		return "", false
	}
	t, name := m.findStatic(r, p)
	if t == nil {
		return "", false
	}
	_ = t.release()
	return name, true
}

// File is an open static file.
type File struct {
	*os.File
	Info        fs.FileInfo
	ContentType string
}

// OpenStatic opens the file that r requests, below Root or in a directory of StaticDirs, if it
// may be sent as it is. If there is none, it returns nil and no error. It opens the file that it
// has checked, even if the root is switched meanwhile.
func (m *Mapper) OpenStatic(r *http.Request) (*File, error) {
	p, err := CleanPath(r)
	if err != nil {
		return nil, nil // Vars reports it
	}
	t, name := m.findStaticDir(p)
	if t == nil {
		t, name = m.findStatic(r, p)
	}
	if t == nil {
		return nil, nil
	}
	defer t.release()
	f, err := m.openStatic(t, name)
	if notExist(err) {
		return nil, nil
	}
	return f, err
}

func (m *Mapper) openStatic(t *trees, name string) (*File, error) {
	f, err := t.open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || m.preset == PresetCGI && executable(info)) {
		err = fs.ErrNotExist // it was replaced after the check
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &File{f, info, contentType(name)}, nil
}

// findStatic returns the name of the file below the root for the clean path p, and the
// directories, which the caller must release. They are nil if there is no file.
func (m *Mapper) findStatic(r *http.Request, p string) (t *trees, name string) {
	if m.root == nil && m.roots == nil || !m.static.anyBelowRoot() {
		return nil, ""
	}
	rest, err := m.belowMount(p)
	if err != nil || !strings.HasSuffix(rest, "/") && !m.static.allows(rest) { // without access to the disk
		return nil, ""
	}
	s, err := m.search(r)
	if err != nil {
		return nil, "" // Vars reports it
	}
	if name = s.staticFile(rest); name == "" {
		s.close()
		return nil, ""
	}
	return s.trees, name
}

// staticFile returns the name of the file for rest, "" if there is none that may be sent.
func (s *search) staticFile(rest string) string {
	err := s.whyNotRun(rest)
	if refused, ok := errors.AsType[*RequestError](err); ok {
		return refused.File
	}
	return ""
}

// whyNotRun returns why rest is not a script to run, nil if it is one.
func (s *search) whyNotRun(rest string) error {
	if s.preset != PresetApp {
		_, err := s.resolve(rest)
		return err
	}
	info, err := s.stat(rest)
	if isNothingThere(err) && s.renew() {
		info, err = s.stat(rest)
	}
	if err != nil {
		return err
	}
	return s.notScript(rest, info)
}

// findStaticDir is findStatic for the directories of StaticDirs outside the root.
func (m *Mapper) findStaticDir(p string) (t *trees, name string) {
	if len(m.static.dirs) == 0 || strings.HasSuffix(p, "/") || m.hide.Has(p) {
		return nil, ""
	}
	clean := path.Clean(p)
	for i := range m.static.dirs {
		d := &m.static.dirs[i]
		rest, ok := below(d.prefix, clean)
		if !ok {
			rest, ok = below(m.mount+d.prefix, clean)
		}
		if !ok || m.neverSent("/"+rest) != nil {
			continue
		}
		t := d.root.acquire()
		info, err := t.stat(rest)
		if notExist(err) {
			t = d.root.renew(t)
			info, err = t.stat(rest)
		}
		if err == nil && info.Mode().IsRegular() {
			return t, rest
		}
		_ = t.release()
	}
	return nil, ""
}

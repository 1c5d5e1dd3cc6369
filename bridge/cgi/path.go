package cgi

import (
	"fmt"
	"net/http"
	"path"
	"strings"
)

// RequestError is a request that cannot be put to the application, and what to
// answer instead. Every other error of this package's methods is the server's
// own trouble (a disk error, no file descriptors), status 500.
type RequestError struct {
	Status    int    // 301, 400, 401, 403, 404, 405 or 503
	Reason    string // for the log: holds the path, quoted
	Location  string // where a 301 leads, ready for the header
	Challenge string // how to log in, WWW-Authenticate of a 401
	File      string // a file below the root that a server of static files may send instead, "" if there is none

	nothing bool // nothing is there, or a directory that has no index
}

func (e *RequestError) Error() string {
	return fmt.Sprintf("cgi: request refused with %d: %s", e.Status, e.Reason)
}

func badRequest(format string, args ...any) *RequestError {
	return &RequestError{Status: http.StatusBadRequest, Reason: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *RequestError {
	return &RequestError{Status: http.StatusNotFound, Reason: fmt.Sprintf(format, args...)}
}

// nothingAt is notFound where a fallback may answer.
func nothingAt(format string, args ...any) *RequestError {
	e := notFound(format, args...)
	e.nothing = true
	return e
}

// CleanPath returns the request's path without dot segments. A request whose target or Host
// is none is refused. Paths that have
// some are cleaned of empty segments too, as whoever routed the request here has
// seen them (net/http's ServeMux, Caddy's matchers, nginx): "/a//../b" must not
// be /b there and /a/b here. All other paths are left as they are.
func CleanPath(r *http.Request) (string, error) {
	if err := checkTarget(r); err != nil {
		return "", err
	}
	p := r.URL.Path
	if r.URL.Opaque != "" {
		return "", badRequest("target %.200q has no path", r.RequestURI)
	}
	if p == "" {
		return "/", nil // RFC 9110 section 4.2.3
	}
	if p == "" || p[0] != '/' {
		return "", badRequest("path %.200q does not start with \"/\"", p)
	}
	if hasBreak(p) {
		return "", badRequest("path %.200q holds NUL, CR or LF", p)
	}
	if !strings.Contains(p, "/.") || !hasDotSegment(p) {
		return p, nil
	}
	if climbs(p) {
		return "", badRequest("path %.200q climbs above \"/\"", p)
	}
	cleaned := path.Clean(p)
	if last := p[strings.LastIndexByte(p, '/')+1:]; cleaned != "/" && (last == "" || last == "." || last == "..") {
		cleaned += "/"
	}
	return cleaned, nil
}

func hasDotSegment(p string) bool {
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func climbs(p string) bool {
	depth := 0
	for segment := range strings.SplitSeq(p, "/") {
		switch segment {
		case "", ".":
		case "..":
			depth--
		default:
			depth++
		}
		if depth < 0 {
			return true
		}
	}
	return false
}

// belowMount returns what follows the mount in p: "" or something that starts
// with "/". A path that is hidden is as one that leads nowhere.
func (m *Mapper) belowMount(p string) (string, error) {
	if m.hide.Has(p) {
		return "", notFound("path %.200q is hidden", p)
	}
	if !isMounted(m.mount, p) {
		return "", notFound("path %.200q is outside the mount %q", p, m.mount)
	}
	return p[len(m.mount):], nil
}

// Mounts reports whether r's path is this mapper's to answer, be it with an error: one
// below the mount, or a hidden one.
func (m *Mapper) Mounts(r *http.Request) bool {
	p, err := CleanPath(r)
	return err != nil || m.hide.Has(p) || isMounted(m.mount, p)
}

// isMounted reports whether a cleaned path is the mount, or below it.
func isMounted(mount, p string) bool {
	rest, ok := strings.CutPrefix(p, mount)
	return ok && (rest == "" || rest[0] == '/')
}

// fileName returns the name below the root that a cleaned path stands for.
func fileName(p string) string {
	if p == "" || p == "/" {
		return "."
	}
	if strings.Contains(p, "//") || p[len(p)-1] == '/' {
		p = path.Clean(p)
	}
	if p == "/" {
		return "."
	}
	return p[1:]
}

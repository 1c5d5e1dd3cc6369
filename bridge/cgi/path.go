package cgi

import (
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"
)

// RequestError reports a request that must not be passed to the application, and the answer
// to give instead. All other errors of this package's methods are failures of the server (a
// disk error, no file descriptors), status 500.
type RequestError struct {
	Status    int           // of a redirect, or 400, 401, 403, 404, 405, 429 or 503
	Reason    string        // for the log: holds the path, quoted
	Location  string        // where a redirect leads, ready for the header
	Challenge string        // how to log in, WWW-Authenticate of a 401
	Retry     time.Duration // when one with a 429 may be sent again
	File      string        // a file below the root that a server of static files may send instead, "" if there is none

	nothing bool // the path leads to nothing, or to a directory without an index
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

// nothingAt is notFound for a path that the fallback may answer.
func nothingAt(format string, args ...any) *RequestError {
	e := notFound(format, args...)
	e.nothing = true
	return e
}

// CleanPath returns the request's path without dot segments. It refuses a request whose
// target or Host is malformed. A path with dot segments loses its empty segments as well,
// because the routers in front (net/http's ServeMux, Caddy's matchers, nginx) remove them:
// "/a//../b" must not be /b there and /a/b here. All other paths are returned unchanged.
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
	if p[0] != '/' {
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

// belowMount returns the part of p after the mount: "" or a path that starts with "/". It
// refuses hidden paths.
func (m *Mapper) belowMount(p string) (string, error) {
	if m.hides(p) {
		return "", notFound("path %.200q is hidden", p)
	}
	if !isMounted(m.mount, p) {
		return "", notFound("path %.200q is outside the mount %q", p, m.mount)
	}
	return p[len(m.mount):], nil
}

// Mounts reports whether this mapper answers r's path, even if only with an error: the path
// is below the mount, hidden or redirected.
func (m *Mapper) Mounts(r *http.Request) bool {
	at, err := m.locate(r)
	return err != nil || m.hides(at.path) || isMounted(m.mount, at.path)
}

// isMounted reports whether the clean path p is the mount or below it.
func isMounted(mount, p string) bool {
	rest, ok := strings.CutPrefix(p, mount)
	return ok && (rest == "" || rest[0] == '/')
}

// fileName returns the name below the root for the clean path p.
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

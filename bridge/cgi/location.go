package cgi

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// strippedPrefix returns the prefix, such as "/app", that the server in front has removed from
// the path (Caddy's handle_path, http.StripPrefix), or "". Redirects for the client need the
// prefix. A path that was rewritten in another way has none.
func strippedPrefix(r *http.Request) string {
	uri, _, _ := strings.Cut(requestURI(r), "?")
	asked, err := url.PathUnescape(uri)
	if err != nil {
		return ""
	}
	prefix, ok := strings.CutSuffix(asked, r.URL.Path)
	if !ok || prefix == "" {
		return ""
	}
	return strings.TrimSuffix(path.Clean("/"+prefix), "/")
}

// slashMissing redirects to the same directory with a slash. Without the slash, relative links
// in its index would refer to its parent.
func slashMissing(r *http.Request, mount, dir string) *RequestError {
	return &RequestError{
		Status:   http.StatusMovedPermanently,
		Reason:   fmt.Sprintf("%.200q is a directory, \"/\" is missing", dir),
		Location: slashLocation(strippedPrefix(r)+mount, dir, r.URL.RawQuery),
	}
}

// slashLocation is built from the name that was looked up, not from the client's path:
// "//host/dir" would lead to another site.
func slashLocation(mount, dir, query string) string {
	p := mount + "/"
	if dir != "." {
		p += dir + "/"
	}
	u := url.URL{Path: p, RawQuery: printable(query)}
	return u.RequestURI()
}

// printable returns query with every character encoded that a header field must not contain.
// net/http's server refuses requests with such characters; other sources of an http.Request
// may not.
func printable(query string) string {
	bad := func(c byte) bool { return c <= ' ' || c >= 0x7f || c == '#' }
	i := 0
	for i < len(query) && !bad(query[i]) {
		i++
	}
	if i == len(query) {
		return query
	}
	var b strings.Builder
	for i := range len(query) {
		if bad(query[i]) {
			fmt.Fprintf(&b, "%%%02X", query[i])
		} else {
			b.WriteByte(query[i])
		}
	}
	return b.String()
}

// isLocal reports whether location is a path that can be served in place of a redirect. One
// with a fragment is not, because fragments are the client's; "//host/path" is on another
// server.
func isLocal(location string) bool {
	return strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//") && !strings.Contains(location, "#")
}

// requestTarget returns a local path and query in the form of a request target. Characters
// that a target must not contain are encoded, and so is a percent sign without an escape.
func requestTarget(location string) string {
	path, query, hasQuery := strings.Cut(printable(location), "?")
	if strings.Contains(path, "%") {
		var b strings.Builder
		for i := range len(path) {
			b.WriteByte(path[i])
			if path[i] == '%' && !startsEscape(path[i:]) {
				b.WriteString("25")
			}
		}
		path = b.String()
	}
	if hasQuery {
		return path + "?" + query
	}
	return path
}

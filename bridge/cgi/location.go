package cgi

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// strippedPrefix is what a front has cut off the beginning of the path before the request
// came here, "/app" or "": Caddy's handle_path, http.StripPrefix. The client must be sent
// to a path with it. A path that was rewritten otherwise has none.
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

// slashMissing leads to the same directory with a slash. Relative links in its index would
// lead to its parent otherwise.
func (s *search) slashMissing(dir string) *RequestError {
	return &RequestError{
		Status:   http.StatusMovedPermanently,
		Reason:   fmt.Sprintf("%.200q is a directory, \"/\" is missing", dir),
		Location: slashLocation(strippedPrefix(s.r)+s.mount, dir, s.r.URL.RawQuery),
	}
}

// slashLocation is built from the name that was looked up, not from what the
// client sent: "//host/dir" would lead to another site.
func slashLocation(mount, dir, query string) string {
	p := mount + "/"
	if dir != "." {
		p += dir + "/"
	}
	u := url.URL{Path: p, RawQuery: printable(query)}
	return u.RequestURI()
}

// printable returns a query without what must not stand in a header field: net/http's
// server refuses such requests, others that make an http.Request may not.
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

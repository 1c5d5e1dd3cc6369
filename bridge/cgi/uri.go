package cgi

import (
	"net/http"
	"strings"
)

// checkTarget refuses a request whose target or Host is malformed (RFC 9112 section 3), even if
// net/http accepts it. A request that was not received by a server has no RequestURI.
func checkTarget(r *http.Request) error {
	if r.Method == http.MethodConnect {
		return &RequestError{Status: http.StatusMethodNotAllowed, Reason: "CONNECT asks for a tunnel, and there is none"}
	}
	uri := r.RequestURI
	switch {
	case (strings.IndexByte(uri, ' ') >= 0 || !isToken(or(r.Method, http.MethodGet))) && ReceivedOf(r) == nil:
		// HTTP/2 can have it in a request, and no request line or log can. Web servers that speak
		// FastCGI may pass on a space.
		return badRequest("method %.20q or target %.200q has characters that no request line has", r.Method, uri)
	case strings.Contains(uri, "#"):
		return badRequest("target %.200q has a fragment", uri)
	case uri == "" || uri[0] == '/' || uri == "*": // "*" has no path, unless a handler in front has set one
	case !isHTTP(uri) || r.URL.User != nil || !IsHost(r.URL.Host):
		return badRequest("target %.200q is neither a path nor an http URL", uri)
	}
	if r.Host != "" && !IsHost(r.Host) {
		return badRequest("Host %.200q is no host", r.Host)
	}
	return nil
}

// isHTTP reports whether uri starts like an http or https URL with an authority.
func isHTTP(uri string) bool {
	scheme, rest, ok := strings.Cut(uri, ":")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")) && strings.HasPrefix(rest, "//")
}

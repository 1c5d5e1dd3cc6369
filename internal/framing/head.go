package framing

import (
	"bytes"
	"math"
	"net/http"
	"net/url"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// head is the part of a request's header that determines where the request ends.
type head struct {
	minor     byte // of the version: HTTP/1.minor
	hosts     int  // how many Host fields there are
	chunked   bool // Transfer-Encoding: chunked
	hasLength bool // Content-Length
	length    int64
}

// requestLine checks a request line (RFC 9112, section 3).
func (h *head) requestLine(line []byte) *Error {
	method, rest, ok := bytes.Cut(line, space)
	if len(method) == 0 || !all(method, token) {
		return badRequest("the method is malformed")
	}
	if !ok {
		return badRequest("the request line has no target")
	}
	uri, version, ok := bytes.Cut(rest, space)
	switch {
	case !ok:
		return badRequest("the request line has no version")
	case len(uri) == 0 || !all(uri, target):
		return badRequest("the target is malformed")
	case !escaped(uri):
		return badRequest("the target's path has a % that is not followed by two hexadecimal digits")
	}
	if len(version) != len("HTTP/1.1") || string(version[:5]) != "HTTP/" || !isDigit(version[5]) || version[6] != '.' || !isDigit(version[7]) {
		return badRequest("the version is malformed")
	}
	if version[5] != '1' {
		return &Error{Status: http.StatusHTTPVersionNotSupported, Reason: "only HTTP/1.1 and HTTP/1.0 are spoken here"}
	}
	h.minor = version[7]
	if uri[0] != '/' && !parses(string(method), string(uri)) {
		return badRequest("the target is malformed")
	}
	return nil
}

// parses reports whether net/http accepts a target that is not just a path.
func parses(method, uri string) bool {
	if method == http.MethodConnect {
		uri = "http://" + uri
	}
	_, err := url.ParseRequestURI(uri)
	return err == nil
}

var space = []byte(" ")

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// escaped reports whether every % in a target's path starts an escape.
func escaped(uri []byte) bool {
	if end := bytes.IndexByte(uri, '?'); end >= 0 {
		uri = uri[:end]
	}
	for {
		i := bytes.IndexByte(uri, '%')
		if i < 0 {
			return true
		}
		if uri = uri[i+1:]; len(uri) < 2 || !all(uri[:2], hex) {
			return false
		}
	}
}

// field checks a field line (RFC 9112, section 5), and returns its name, in any case, and its value
// without whitespace at the ends.
func field(line []byte) (key, v []byte, err *Error) {
	if line[0] == ' ' || line[0] == '\t' {
		return nil, nil, badRequest("a header line begins with whitespace: folded lines are obsolete")
	}
	i := 0
	for i < len(line) && classOf[line[i]]&token != 0 {
		i++
	}
	switch {
	case i == len(line):
		return nil, nil, badRequest("a header line has no colon")
	case line[i] == ':' && i > 0:
	case line[i] == ' ' || line[i] == '\t':
		return nil, nil, badRequest("whitespace in or after the name of a header field")
	default:
		return nil, nil, badRequest("the name of a header field is malformed")
	}
	if !all(line[i+1:], value) {
		return nil, nil, badRequest("the value of a header field has a control character")
	}
	return line[:i], trim(line[i+1:]), nil
}

// field checks a field line, and stores the fields that determine where the request ends.
func (h *head) field(line []byte) *Error {
	key, v, err := field(line)
	if err != nil {
		return err
	}
	switch len(key) {
	case len("host"):
		if equalFold(key, "host") {
			return h.host(v)
		}
	case len("content-length"):
		if equalFold(key, "content-length") {
			return h.contentLength(v)
		}
	case len("transfer-encoding"):
		if equalFold(key, "transfer-encoding") {
			return h.transferEncoding(v)
		}
	}
	return nil
}

func (h *head) host(v []byte) *Error {
	if h.hosts++; h.hosts > 1 {
		return badRequest("there is more than one Host")
	}
	switch {
	case len(v) == 0:
		if h.minor != '0' { // HTTP/1.0 does not require one
			return badRequest("the Host is empty")
		}
	case !isName(v) && !cgi.IsHost(string(v)):
		return badRequest("the Host is malformed")
	}
	return nil
}

// isName reports whether host is a plain name without a port. Nearly all are, and need no further
// check.
func isName(host []byte) bool {
	if host[0] == '.' {
		return false
	}
	for i, c := range host {
		if classOf[c]&name == 0 || c == '.' && host[i-1] == '.' {
			return false
		}
	}
	return true
}

func (h *head) contentLength(v []byte) *Error {
	if h.hasLength {
		return badRequest("there is more than one Content-Length")
	}
	if len(v) == 0 {
		return badRequest("the Content-Length is empty")
	}
	for _, c := range v {
		if !isDigit(c) {
			return badRequest("the Content-Length is no number")
		}
		d := int64(c - '0')
		if h.length > (math.MaxInt64-d)/10 {
			return badRequest("the Content-Length is too large")
		}
		h.length = 10*h.length + d
	}
	h.hasLength = true
	return nil
}

func (h *head) transferEncoding(v []byte) *Error {
	switch {
	case h.chunked:
		return badRequest("there is more than one Transfer-Encoding")
	case !equalFold(v, "chunked"):
		return &Error{Status: http.StatusNotImplemented, Reason: "the only Transfer-Encoding that is understood is chunked"}
	}
	h.chunked = true
	return nil
}

// end checks the fields together, at the end of the header.
func (h *head) end() *Error {
	switch {
	case h.chunked && h.hasLength:
		return badRequest("there is a Content-Length beside a Transfer-Encoding")
	case h.chunked && h.minor == '0':
		return badRequest("there is a Transfer-Encoding in HTTP/1.0")
	case h.hosts == 0 && h.minor != '0':
		return badRequest("there is no Host")
	}
	return nil
}

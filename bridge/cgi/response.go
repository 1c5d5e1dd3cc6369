package cgi

import (
	"bytes"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// Response is what a CGI header says besides its fields.
type Response struct {
	// Status is the HTTP status, 200 to 999. Without a Status field it is 302 if
	// there is a Location and 200 otherwise.
	Status int
	// ContentLength is the length the application declared for its body, in
	// bytes, -1 if it did not.
	ContentLength int64
	// LocalRedirect is the path and query to serve instead, "" if none: a
	// Location on this server that came alone (RFC 3875 section 6.2.2).
	LocalRedirect string
	// Streaming says that the application wants every write delivered at once:
	// it sends text/event-stream, or X-Accel-Buffering: no.
	Streaming bool
}

// HeaderError reports a response header that cannot be passed on.
type HeaderError struct {
	Line   int    // 1 is the first, 0 is the header as a whole
	Reason string // what is wrong, the line quoted
}

func (e *HeaderError) Error() string {
	if e.Line == 0 {
		return "cgi: response header: " + e.Reason
	}
	return fmt.Sprintf("cgi: response header, line %d: %s", e.Line, e.Reason)
}

// HeaderEnd returns the offset just past the empty line that ends the header b
// starts with, -1 if it has not arrived. Lines end in LF or CRLF. from is where
// to go on: a call with b[:from] returned -1.
func HeaderEnd(b []byte, from int) int {
	if n := emptyLine(b); n > 0 {
		return n
	}
	// "\n\r" may be the last that was there.
	for i := max(0, from-2); i < len(b); {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return -1
		}
		i += n + 1
		if n := emptyLine(b[i:]); n > 0 {
			return i + n
		}
	}
	return -1
}

// emptyLine returns the length of the empty line b starts with, 0 if there is
// none.
func emptyLine(b []byte) int {
	switch {
	case len(b) > 0 && b[0] == '\n':
		return 1
	case len(b) > 1 && b[0] == '\r' && b[1] == '\n':
		return 2
	}
	return 0
}

// ParseResponse parses a CGI header, up to and including its empty line, and
// adds its fields to h. Not added are Status, X-Accel-Buffering, the Location of
// a local redirect, the Content-Length of a 204, and what belongs to the
// connection: Connection and the fields it names, HTTP2-Settings, Keep-Alive,
// Proxy-Authenticate, Proxy-Authentication-Info, Proxy-Authorization, Proxy-Connection,
// TE, Trailer, Transfer-Encoding, Upgrade.
//
// Errors are a *HeaderError; h may hold some of the fields then.
func ParseResponse(block []byte, h http.Header) (Response, error) {
	p := responseParser{header: h, length: -1}
	// One string and one array hold all the values.
	rest := string(block)
	p.values = make([]string, 0, bytes.Count(block, []byte{'\n'}))
	for number := 1; ; number++ {
		line, after, ok := strings.Cut(rest, "\n")
		if !ok {
			return Response{}, &HeaderError{Reason: "no empty line at its end"}
		}
		line, rest = strings.TrimSuffix(line, "\r"), after
		if line == "" {
			break
		}
		if reason := p.line(number, line); reason != "" {
			return Response{}, &HeaderError{number, reason}
		}
	}
	if p.lines == 0 {
		return Response{}, &HeaderError{Reason: "no field before the empty line (RFC 3875 asks for one at least)"}
	}
	return p.response(), nil
}

type responseParser struct {
	header     http.Header
	values     []string
	lines      int    // that were parsed
	fields     int    // among them, all but Status
	status     int    // 0 if not given
	length     int64  // -1 if not given
	location   string // "" if not given
	streaming  bool
	connection []string // the values of Connection
}

// line parses one line and returns what is wrong with it, "" if nothing.
func (p *responseParser) line(number int, line string) string {
	p.lines++
	if number == 1 && strings.HasPrefix(line, "HTTP/") {
		// Programs written for "nph-" scripts begin like this (RFC 3875 section 5).
		_, status, _ := strings.Cut(line, " ")
		return p.setStatus(line, status)
	}
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return fmt.Sprintf("%.100q has no colon (did the application print something before its header?)", line)
	}
	if !isToken(name) {
		return fmt.Sprintf("%.100q is no field name", name)
	}
	value = strings.Trim(value, " \t")
	if hasBreak(value) {
		return fmt.Sprintf("the value of %s holds NUL or CR: %.100q", name, value)
	}
	return p.field(textproto.CanonicalMIMEHeaderKey(name), value)
}

func (p *responseParser) field(name, value string) string {
	if name == "Status" {
		return p.setStatus(value, value)
	}
	p.fields++
	switch name {
	case "Http2-Settings", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return ""
	case "Connection":
		p.connection = append(p.connection, value)
		return ""
	case "X-Accel-Buffering":
		p.streaming = p.streaming || strings.EqualFold(value, "no")
		return ""
	case "Content-Type":
		p.streaming = p.streaming || isEventStream(value)
	case "Content-Length":
		return p.setLength(value)
	case "Location":
		if p.location != "" {
			return fmt.Sprintf("a second Location, %.100q after %.100q", value, p.location)
		}
		p.location = value
	}
	p.add(name, value)
	return ""
}

// add is Header.Add without an allocation for each value.
func (p *responseParser) add(name, value string) {
	if lines, ok := p.header[name]; ok {
		p.header[name] = append(lines, value)
		return
	}
	p.values = append(p.values, value)
	n := len(p.values)
	p.header[name] = p.values[n-1 : n : n]
}

// setStatus parses "404 Not Found". The reason is dropped: HTTP/2 has none and
// net/http writes its own.
func (p *responseParser) setStatus(line, value string) string {
	digits, _, _ := strings.Cut(value, " ")
	status, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || len(digits) != 3 || status < 200 {
		return fmt.Sprintf("%.100q: the status must be 200 to 999", line)
	}
	if p.status != 0 && p.status != int(status) {
		return fmt.Sprintf("%.100q: the status is %d already", line, p.status)
	}
	p.status = int(status)
	return ""
}

func (p *responseParser) setLength(value string) string {
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil {
		return fmt.Sprintf("Content-Length is %.100q, not a number of bytes", value)
	}
	if p.length >= 0 && p.length != int64(n) {
		return fmt.Sprintf("a second Content-Length, %d after %d", n, p.length)
	}
	if p.length < 0 {
		p.length = int64(n)
		p.add("Content-Length", value)
	}
	return ""
}

// response is the result once all lines are in.
func (p *responseParser) response() Response {
	removeNamed(p.header, p.connection)
	r := Response{Status: p.status, ContentLength: p.length, Streaming: p.streaming}
	switch {
	case p.status == 0 && p.fields == 1 && isLocal(p.location):
		r.Status, r.LocalRedirect = http.StatusOK, p.location
		delete(p.header, "Location")
	case p.status == 0 && p.location != "":
		r.Status = http.StatusFound
	case p.status == 0:
		r.Status = http.StatusOK
	case p.status == http.StatusNoContent:
		r.ContentLength = -1
		delete(p.header, "Content-Length") // RFC 9110 section 8.6
	}
	return r
}

// isLocal reports a path that this server can serve in place of a redirect. A
// fragment is for the client, and "//host/path" is on another server.
func isLocal(location string) bool {
	return strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//") && !strings.Contains(location, "#")
}

// removeNamed removes the fields that Connection names (RFC 9110 section 7.6.1).
func removeNamed(h http.Header, connection []string) {
	for _, line := range connection {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(strings.Trim(name, " \t"))
		}
	}
}

func isEventStream(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.Trim(mediaType, " \t"), "text/event-stream")
}

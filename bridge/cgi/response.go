package cgi

import (
	"bytes"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// Response is the meaning of a CGI header, besides its fields.
type Response struct {
	// Status is the HTTP status, 100 to 999. Without a Status field it is 302 if
	// there is a Location and 200 otherwise. A header with a status below 200 is an interim
	// one (RFC 9110 section 15.2), and another header follows.
	Status int
	// ContentLength is the length the application declared for its body, in
	// bytes, -1 if it did not.
	ContentLength int64
	// LocalRedirect is the path and query to serve instead, in the form of a request target, or
	// "". It is set for a Location on this server without any other field (RFC 3875 section
	// 6.2.2). The answer is a local redirect only if no body follows; Location is in the header
	// in any case.
	LocalRedirect string
	// Streaming says that every write must be delivered at once: the header has
	// text/event-stream, or X-Accel-Buffering: no.
	Streaming bool
	// Chunked says that the body has the chunked transfer coding; see type Chunked.
	Chunked bool
	// Sendfile says that the header names a file to be sent instead of the body, with
	// X-Sendfile, X-LIGHTTPD-send-file or X-Accel-Redirect.
	Sendfile bool
	// Warning says, for a log, what in the header was left out or corrected, "" if nothing
	// was.
	Warning string
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

// HeaderEnd returns the offset just past the empty line that ends the header at the start of b,
// -1 if the line has not arrived. Lines end in LF or CRLF. b[:from] was searched before.
func HeaderEnd(b []byte, from int) int {
	if n := emptyLine(b); n > 0 {
		return n
	}
	// The part searched before may end in "\n\r".
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

// emptyLine returns the length of the empty line at the start of b, 0 if there is none.
func emptyLine(b []byte) int {
	switch {
	case len(b) > 0 && b[0] == '\n':
		return 1
	case len(b) > 1 && b[0] == '\r' && b[1] == '\n':
		return 2
	}
	return 0
}

// ParseResponse parses a CGI header, up to and including its empty line, and adds its fields to
// h. A field that can occur only once (Content-Type, ETag, ...) replaces the one in h. Not added
// are Status, the Content-Length of an interim header, a 204, a 205 and a chunked body, and the fields of
// the connection: Connection and those it names, HTTP2-Settings, Keep-Alive, Proxy-Authenticate,
// Proxy-Authentication-Info, Proxy-Authorization, Proxy-Connection, TE, Trailer,
// Transfer-Encoding, Upgrade.
//
// Errors are of type *HeaderError; h may then hold some of the fields.
func ParseResponse(block []byte, h http.Header) (Response, error) {
	return parseResponse(responseParser{header: h, length: -1}, block)
}

// ParseHTTPResponse is ParseResponse for the header of an HTTP answer whose framing was
// checked, and whose body has no transfer coding any more: it begins with a status line, a
// field named Status means nothing, and Location is the client's to follow.
func ParseHTTPResponse(block []byte, h http.Header) (Response, error) {
	if !bytes.HasPrefix(block, []byte("HTTP/")) {
		return Response{}, &HeaderError{1, "no status line"}
	}
	r, err := parseResponse(responseParser{header: h, length: -1, http: true}, block)
	r.Chunked = false
	return r, err
}

func parseResponse(p responseParser, block []byte) (Response, error) {
	// One string and one array hold all the values.
	p.rest = string(block)
	p.values = make([]string, 0, bytes.Count(block, []byte{'\n'}))
	for {
		number := p.number + 1
		line, ok := p.logicalLine()
		if !ok {
			return Response{}, &HeaderError{Reason: "no empty line at its end"}
		}
		if line == "" {
			break
		}
		if reason := p.line(number, line); reason != "" {
			return Response{}, &HeaderError{number, reason}
		}
	}
	if reason := p.setCoding(); reason != "" {
		return Response{}, &HeaderError{Reason: reason}
	}
	return p.response(), nil
}

// ParseFinal parses the final header at the start of b, after interim ones. end is the offset of
// the body, -1 if the header is not complete yet. parse is ParseResponse or ParseHTTPResponse.
func ParseFinal(b []byte, parse func([]byte, http.Header) (Response, error)) (r Response, h http.Header, end int, err error) {
	for begin := 0; ; begin = end {
		n := HeaderEnd(b[begin:], 0)
		if n < 0 {
			return Response{}, nil, -1, nil
		}
		end, h = begin+n, make(http.Header)
		if r, err = parse(b[begin:end], h); err != nil || r.Status >= http.StatusOK {
			return r, h, end, err
		}
	}
}

type responseParser struct {
	http       bool   // the answer is an HTTP message
	rest       string // not read yet
	number     int    // lines read
	header     http.Header
	values     []string
	fields     int      // fields parsed, without Status
	status     int      // 0 if not given
	length     int64    // -1 if not given
	location   string   // "" if not given
	connection []string // the values of Connection
	codings    []string // the values of Transfer-Encoding
	streaming  bool
	chunked    bool
	sendfile   bool
	warning    string
}

// logicalLine returns the next line together with its continuation lines, which start with a
// space or a tab (RFC 9112 section 5.2).
func (p *responseParser) logicalLine() (line string, ok bool) {
	line, ok = p.physicalLine()
	if line == "" || !p.continued() {
		return line, ok
	}
	var b strings.Builder
	b.WriteString(line)
	for p.continued() {
		if line, ok = p.physicalLine(); !ok {
			return "", false
		}
		if line = strings.Trim(line, " \t"); line != "" {
			b.WriteByte(' ')
			b.WriteString(line)
		}
	}
	return b.String(), true
}

func (p *responseParser) physicalLine() (line string, ok bool) {
	line, p.rest, ok = strings.Cut(p.rest, "\n")
	p.number++
	return strings.TrimSuffix(line, "\r"), ok
}

func (p *responseParser) continued() bool {
	return p.rest != "" && (p.rest[0] == ' ' || p.rest[0] == '\t')
}

// line parses one line and returns what is wrong with it, "" if nothing.
func (p *responseParser) line(number int, line string) string {
	if hasControl(line) {
		return fmt.Sprintf("%.100q holds a control character", line)
	}
	if number == 1 && strings.HasPrefix(line, "HTTP/") {
		// Programs written as "nph-" scripts start like this (RFC 3875 section 5).
		_, status, _ := strings.Cut(line, " ")
		return p.setStatus(line, status)
	}
	if line[0] == ' ' || line[0] == '\t' {
		p.warn("%.100q begins with a space and continues no field", line)
		return ""
	}
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return fmt.Sprintf("%.100q has no colon (did the application print something before its header?)", line)
	}
	name = strings.TrimRight(name, " \t") // RFC 9112 section 5.1
	if !isToken(name) {
		p.warn("%.100q is no field name", name)
		return ""
	}
	key := textproto.CanonicalMIMEHeaderKey(name)
	if rest, ok := strings.CutPrefix(key, authorizerPrefix); ok {
		key = authorizerPrefix + name[len(name)-len(rest):]
	}
	return p.field(key, strings.Trim(value, " \t"))
}

// authorizerPrefix begins the fields in which an authorizer names variables for the web server
// (FastCGI, section 6.3). The rest is the name of a variable, whose case counts.
const authorizerPrefix = "Variable-"

func (p *responseParser) field(name, value string) string {
	if name == "Status" && !p.http {
		return p.setStatus(value, value)
	}
	p.fields++
	switch name {
	case "Http2-Settings", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Upgrade":
		return ""
	case "Connection":
		p.connection = append(p.connection, value)
		return ""
	case "Transfer-Encoding":
		p.codings = append(p.codings, value)
		return ""
	case "Content-Length":
		return p.setLength(value)
	case "X-Accel-Buffering":
		p.streaming = p.streaming || strings.EqualFold(value, "no")
	case "X-Sendfile", "X-Lighttpd-Send-File", "X-Accel-Redirect":
		if value == "" {
			return ""
		}
		p.sendfile = true
	case "Content-Type":
		p.streaming = p.streaming || isEventStream(value)
	case "Location":
		if p.location != "" && p.location != value {
			return fmt.Sprintf("a second Location, %.100q after %.100q", value, p.location)
		}
		p.location = value
	}
	if IsSingle(name) {
		p.set(name, value)
		return ""
	}
	p.add(name, value)
	return ""
}

// IsSingle reports whether the field of this canonical name can occur only once, because its
// value is not a list.
func IsSingle(name string) bool {
	switch name {
	case "Access-Control-Allow-Credentials", "Access-Control-Allow-Origin", "Age", "Content-Disposition", "Content-Location",
		"Content-Range", "Content-Type", "Date", "Etag", "Expires", "Last-Modified", "Location", "Retry-After", "Server",
		"X-Accel-Buffering", "X-Accel-Redirect", "X-Lighttpd-Send-File", "X-Sendfile":
		return true
	}
	return false
}

// set replaces the field's value: of several, the last one counts.
func (p *responseParser) set(name, value string) {
	if lines := p.header[name]; len(lines) > 0 {
		if before := lines[len(lines)-1]; before != value {
			p.warn("%s is %.100q, and then %.100q: the last one counts", name, before, value)
		}
		delete(p.header, name)
	}
	p.add(name, value)
}

// add is http.Header.Add without an allocation for each value.
func (p *responseParser) add(name, value string) {
	if lines, ok := p.header[name]; ok {
		p.header[name] = append(lines, value)
		return
	}
	p.values = append(p.values, value)
	n := len(p.values)
	p.header[name] = p.values[n-1 : n : n]
}

// setStatus parses "404 Not Found", or any text that starts with three digits. The reason is
// dropped: HTTP/2 has none, and net/http writes its own. Of several, the last status counts.
func (p *responseParser) setStatus(line, value string) string {
	value = strings.TrimLeft(value, " \t")
	digits := value[:min(3, len(value))]
	status, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || status < 100 || len(value) > 3 && '0' <= value[3] && value[3] <= '9' {
		return fmt.Sprintf("%.100q: the status must be 100 to 999", line)
	}
	p.status = int(status)
	return ""
}

// setLength parses Content-Length. Equal values may be repeated (RFC 9110 section 8.6); an empty
// value is ignored.
func (p *responseParser) setLength(value string) string {
	if value == "" {
		p.warn("Content-Length is empty")
		return ""
	}
	for text := range strings.SplitSeq(value, ",") {
		text = strings.Trim(text, " \t")
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return fmt.Sprintf("Content-Length is %.100q, not a number of bytes", value)
		}
		if p.length >= 0 && p.length != int64(n) {
			return fmt.Sprintf("a second Content-Length, %d after %d", n, p.length)
		}
		if p.length < 0 {
			p.length = int64(n)
			p.add("Content-Length", text)
		}
	}
	return ""
}

// setCoding applies Transfer-Encoding. Only the chunked coding can be decoded; a compressed body
// is an error. A value that is no coding, such as "binary", was meant for
// Content-Transfer-Encoding and is ignored.
func (p *responseParser) setCoding() string {
	for _, line := range p.codings {
		for coding := range strings.SplitSeq(line, ",") {
			coding, _, _ = strings.Cut(coding, ";")
			switch coding = strings.ToLower(strings.Trim(coding, " \t")); coding {
			case "", "identity":
			case "chunked":
				p.chunked = true
			case "gzip", "x-gzip", "deflate", "compress", "x-compress":
				return fmt.Sprintf("Transfer-Encoding is %.100q, and only chunked can be undone", line)
			default:
				p.warn("Transfer-Encoding %.100q is no transfer coding", coding)
			}
		}
	}
	return ""
}

// warn sets the warning for the log. The first one is kept.
func (p *responseParser) warn(format string, args ...any) {
	if p.warning == "" {
		p.warning = fmt.Sprintf(format, args...)
	}
}

// response returns the result, after the last line.
func (p *responseParser) response() Response {
	removeNamed(p.header, p.connection)
	interim := p.status != 0 && p.status < http.StatusOK
	if p.chunked || interim || p.status == http.StatusNoContent || p.status == http.StatusResetContent {
		p.length = -1 // RFC 9112 section 6.3, RFC 9110 section 8.6
		delete(p.header, "Content-Length")
	}
	r := Response{
		Status: p.status, ContentLength: p.length,
		Streaming: p.streaming, Chunked: p.chunked, Sendfile: p.sendfile, Warning: p.warning,
	}
	if p.status != 0 {
		return r
	}
	r.Status = http.StatusOK
	if p.location != "" {
		r.Status = http.StatusFound
		if p.fields == 1 && isLocal(p.location) {
			r.LocalRedirect = requestTarget(p.location)
		}
	}
	return r
}

// removeNamed removes the fields that Connection names (RFC 9110 section 7.6.1). Content-Length stays,
// whatever Connection says: the client must learn where the answer ends.
func removeNamed(h http.Header, connection []string) {
	for _, line := range connection {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.Trim(name, " \t"); !strings.EqualFold(name, "Content-Length") {
				h.Del(name)
			}
		}
	}
}

// hasControl reports whether s holds a control character, which a client may take for the end
// of a line or of the text (RFC 9110 section 5.5).
func hasControl(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

func isEventStream(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.Trim(mediaType, " \t"), "text/event-stream")
}

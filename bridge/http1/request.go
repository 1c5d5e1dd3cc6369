package http1

import (
	"fmt"
	"strconv"
	"strings"
)

// Field is one line of a header.
type Field struct{ Name, Value string }

// Request is a request without its body.
type Request struct {
	Method string
	Target string // a path and perhaps a query (origin form), or "*"
	Host   string // "": the client has named none
	// Fields are all others but those that describe the connection and the length of the
	// body.
	Fields []Field
	// Length is that of the body, in bytes. Negative: not known yet, so that the request
	// can be measured, but not encoded.
	Length int64
	// Upgrade is the protocol that the client wants to go on with, "" if none.
	Upgrade string
}

// RequestError reports a request that cannot be encoded.
type RequestError struct{ Part, Reason string }

func (e *RequestError) Error() string { return fmt.Sprintf("http: %.100s %s", e.Part, e.Reason) }

// The fields that are written for every request by Append, or for none.
func ownField(name string) bool {
	switch len(name) {
	case len("TE"):
		return strings.EqualFold(name, "TE")
	case len("Host"):
		return strings.EqualFold(name, "Host")
	case len("Expect"):
		return strings.EqualFold(name, "Expect")
	case len("Upgrade"): // and Trailer
		return strings.EqualFold(name, "Upgrade") || strings.EqualFold(name, "Trailer")
	case len("Connection"): // and Keep-Alive
		return strings.EqualFold(name, "Connection") || strings.EqualFold(name, "Keep-Alive")
	case len("Content-Length"):
		return strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "HTTP2-Settings")
	case len("Proxy-Connection"):
		return strings.EqualFold(name, "Proxy-Connection")
	case len("Transfer-Encoding"):
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

// Append appends the request, up to the empty line. Keep says whether the application is
// asked to keep the connection open (section 9.3). The error is a *RequestError; dst is
// returned as it was.
func (r *Request) Append(dst []byte, keep bool) ([]byte, error) {
	if err := r.check(); err != nil {
		return dst, err
	}
	if r.Length < 0 {
		return dst, &RequestError{"the body", "has no length yet"}
	}
	dst = append(append(dst, r.Method...), ' ')
	dst = append(append(dst, r.Target...), " HTTP/1.1\r\n"...)
	dst = appendField(dst, "Host", r.Host)
	for i := range r.Fields {
		dst = appendField(dst, r.Fields[i].Name, r.Fields[i].Value)
	}
	if r.Length > 0 || r.announcesNoBody() {
		dst = strconv.AppendInt(append(dst, "Content-Length: "...), r.Length, 10)
		dst = append(dst, "\r\n"...)
	}
	switch {
	case r.Upgrade != "":
		dst = appendField(append(dst, "Connection: Upgrade\r\n"...), "Upgrade", r.Upgrade)
	case !keep:
		dst = append(dst, "Connection: close\r\n"...)
	}
	return append(dst, "\r\n"...), nil
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), "\r\n"...)
}

// announcesNoBody reports methods whose requests have a Content-Length also if the body is
// empty (RFC 9110 section 8.6).
func (r *Request) announcesNoBody() bool {
	return r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH"
}

// Size returns how many bytes the header takes, at most. The error is that of Append.
func (r *Request) Size() (int, error) {
	if err := r.check(); err != nil {
		return 0, err
	}
	const line = len(": \r\n")
	n := len(r.Method) + len(r.Target) + len("  HTTP/1.1\r\n") + len("Host") + line + len(r.Host)
	for i := range r.Fields {
		n += len(r.Fields[i].Name) + len(r.Fields[i].Value) + line
	}
	const rest = "Content-Length: 9223372036854775807\r\nConnection: Upgrade\r\nUpgrade: \r\n\r\n"
	return n + len(rest) + len(r.Upgrade), nil
}

func (r *Request) check() error {
	switch {
	case !isToken(r.Method):
		return &RequestError{"method " + strconv.Quote(r.Method), "is no token"}
	case r.Method == "CONNECT":
		return &RequestError{"method CONNECT", "asks for a tunnel, which an application is not"}
	case r.Target != "*" && (r.Target == "" || r.Target[0] != '/'):
		return &RequestError{"target " + strconv.Quote(r.Target), "is no path"}
	case !isVisible(r.Target):
		return &RequestError{"target " + strconv.Quote(r.Target), "has a space or a control character"}
	case !isVisible(r.Host) || strings.ContainsAny(r.Host, "/?#@\\,"):
		return &RequestError{"host " + strconv.Quote(r.Host), "is none"}
	case r.Upgrade != "" && !isToken(r.Upgrade):
		return &RequestError{"upgrade " + strconv.Quote(r.Upgrade), "is no token"}
	case r.Upgrade != "" && r.Length != 0:
		return &RequestError{"upgrade " + strconv.Quote(r.Upgrade), "goes with a body"}
	}
	for i := range r.Fields {
		switch name, value := r.Fields[i].Name, r.Fields[i].Value; {
		case !isToken(name):
			return &RequestError{"field " + strconv.Quote(name), "has a name that is no token"}
		case ownField(name):
			return &RequestError{"field " + name, "is not the client's to set"}
		case hasControl(value):
			return &RequestError{"field " + name, "has a control character in its value"}
		}
	}
	return nil
}

// isToken reports a token of RFC 9110 section 5.6.2.
func isToken[T string | []byte](s T) bool {
	for i := range len(s) {
		if !tokenChars[s[i]] {
			return false
		}
	}
	return len(s) > 0
}

var tokenChars = func() (set [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		set[c] = true
	}
	return set
}()

// isVisible reports that s has neither white space nor control characters. Bytes beyond ASCII
// are no URL's, and are passed on for the application to judge.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// hasControl reports a character that no value of a field may have (RFC 9110 section 5.5).
func hasControl[T string | []byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

//go:build linux

package loop

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// parser reads requests as net/http does.
type parser struct {
	source bytes.Reader
	reader *bufio.Reader
}

// parse returns the request with a header that framing has accepted, nil if net/http does not.
func (p *parser) parse(header []byte, ctx context.Context) *http.Request {
	if r := parseUsual(header, ctx); r != nil {
		return r
	}
	p.source.Reset(header)
	if p.reader == nil {
		p.reader = bufio.NewReaderSize(&p.source, 4<<10)
	} else {
		p.reader.Reset(&p.source)
	}
	r, err := http.ReadRequest(p.reader)
	p.source.Reset(nil)
	if err != nil {
		return nil
	}
	r.Body = http.NoBody // a loop has the body elsewhere
	return r.WithContext(ctx)
}

// blank is the beginning of all requests.
var blank http.Request

// parseUsual returns the request with a header that framing has accepted, as http.ReadRequest does, with a
// third of its work; nil if it is not as most are. FuzzParse compares the two.
func parseUsual(header []byte, ctx context.Context) *http.Request {
	line, rest, _ := strings.Cut(string(header), "\r\n") // all values are parts of one string
	method, line, _ := strings.Cut(line, " ")
	target, proto, _ := strings.Cut(line, " ")
	if proto != "HTTP/1.1" || target[0] != '/' || method == http.MethodConnect {
		return nil
	}
	at := parseTarget(target)
	if at == nil {
		return nil
	}
	r := blank.WithContext(ctx)
	r.Method, r.URL, r.RequestURI, r.Proto, r.ProtoMajor, r.ProtoMinor, r.Body = method, at, target, proto, 1, 1, http.NoBody
	n := strings.Count(rest, "\n")
	values := make([]string, 0, n) // the memory of all of them
	h := make(http.Header, n)
	for {
		if line, rest, _ = strings.Cut(rest, "\r\n"); line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		name, value = textproto.CanonicalMIMEHeaderKey(name), strings.Trim(value, " \t")
		switch name {
		case "Host":
			r.Host = value
			continue
		case "Connection":
			if r.Close = r.Close || isWord(value, "close"); !r.Close && !isWord(value, "keep-alive") {
				return nil
			}
		case "Pragma": // net/http makes more of it
			return nil
		}
		if before, several := h[name]; several {
			h[name] = append(before, value)
			continue
		}
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	r.Header = h
	return r
}

// isWord reports whether s is a word of ASCII letters, in any case.
func isWord(s, word string) bool { return len(s) == len(word) && strings.EqualFold(s, word) }

// parseTarget returns the URL of a target that framing has accepted and that begins with a slash, nil if
// net/url does not.
func parseTarget(target string) *url.URL {
	path, query, has := strings.Cut(target, "?")
	for i := range len(path) {
		if !isPlain[path[i]] {
			at, err := url.ParseRequestURI(target)
			if err != nil {
				return nil
			}
			return at
		}
	}
	return &url.URL{Path: path, RawQuery: query, ForceQuery: has && query == ""}
}

// isPlain has the bytes that stand for themselves in a path, whether they are written so or not.
var isPlain = func() (plain [256]bool) {
	for _, c := range "/-_.~$&+,:;=@0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" {
		plain[c] = true
	}
	return plain
}()

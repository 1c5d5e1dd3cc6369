package bridge

import (
	"bytes"
	"net/http"
	"strings"
)

// What a route keeps of a request, in segments, parts of a query, names and bytes.
// The rest is left out, so that a client cannot make it long.
const (
	maxSegments = 8
	maxSegment  = 64
	maxPath     = 192
	maxParts    = 64
	maxNames    = 8
	maxName     = 32
	// maxRoute is what these come to.
	maxRoute = len("OPTIONS stream xhr ") + maxPath + maxSegment + len("/*.12345;*/**") + maxNames*(maxName+len(",*")) + len("?,**")
)

// appendRoute appends r's route, the unit in which the gate learns how long requests
// take, and returns where its parts are. Its group is the route up to the first segment of the
// path below mount, which has no slash at its end, or without that for a page at the
// top, whatever its query.
//
//	GET html xhr /wiki/Start?action,version
//	------------------
//
// It has the method, the class of answer that the client accepts (acceptClass), whether a
// script asks, the path, and the names in the query. It is shown, and tells no secrets: what
// is not made of words (isWords), such as a number or a key, is a "*", and so is what follows
// a word that precedes a secret (precedesSecret). The query's values are left out.
func appendRoute(dst []byte, r *http.Request, accepts, mount string) (route []byte, at routeMarks) {
	dst = append(dst, methodName(r.Method)...)
	dst = append(dst, ' ')
	dst = append(dst, accepts...)
	if fromScript(r.Header) {
		dst = append(dst, " xhr"...)
	}
	dst = append(dst, ' ')
	at.path = len(dst)
	dst, at.group = appendPath(dst, r.URL.Path, mount)
	at.query = len(dst)
	if at.group == len(dst) { // pages at the top are each other's relatives
		at.group = bytes.LastIndexByte(dst, '/') + 1
	}
	return appendNames(dst, r.URL.RawQuery), at
}

// routeMarks are places in a route: where its group ends, its path begins and ends.
type routeMarks struct{ group, path, query int }

// methodName returns the methods of RFC 9110 and PATCH as they are, others as OTHER.
func methodName(method string) string {
	switch method {
	case "":
		return http.MethodGet
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace, http.MethodPatch:
		return method
	}
	return "OTHER"
}

// The classes of answers that clients accept.
const (
	acceptsHTML   = "html"
	acceptsJSON   = "json"
	acceptsStream = "stream"
	acceptsImage  = "image"
	acceptsAny    = "any"
	acceptsOther  = "other"
)

// acceptClass goes by the first type of the Accept field, which is the one that
// browsers and libraries want.
func acceptClass(h http.Header) string {
	accept := h["Accept"]
	if len(accept) == 0 {
		return acceptsAny
	}
	first, _, _ := strings.Cut(accept[0], ",")
	first, _, _ = strings.Cut(first, ";")
	switch first = strings.TrimSpace(first); first {
	case "", "*/*":
		return acceptsAny
	case "text/html", "application/xhtml+xml":
		return acceptsHTML
	case "application/json":
		return acceptsJSON
	case "text/event-stream":
		return acceptsStream
	}
	switch {
	case strings.HasPrefix(first, "image/"):
		return acceptsImage
	case strings.HasSuffix(first, "+json"):
		return acceptsJSON
	}
	return acceptsOther
}

// fromScript reports whether a script of a page asks, not the browser itself.
func fromScript(h http.Header) bool {
	if v := h["Sec-Fetch-Mode"]; len(v) > 0 && v[0] == "cors" {
		return true
	}
	if v := h["Sec-Fetch-Dest"]; len(v) > 0 && v[0] == "empty" {
		return true
	}
	v := h["X-Requested-With"]
	return len(v) > 0 && strings.EqualFold(v[0], "XMLHttpRequest")
}

// appendPath appends a path, and returns the length up to the end of the first
// segment below mount. Empty segments are left out.
func appendPath(dst []byte, path, mount string) (_ []byte, group int) {
	if below, ok := strings.CutPrefix(path, mount); ok && (below == "" || below[0] == '/') {
		dst, path = append(dst, mount...), below
	}
	begin := len(dst)
	secret := false
	for n := 0; path != ""; {
		var segment string
		segment, path, _ = strings.Cut(path, "/")
		if segment == "" {
			continue
		}
		if n == maxSegments || len(dst)-begin > maxPath {
			dst = append(dst, "/**"...)
			break
		}
		dst = append(dst, '/')
		dst, secret = appendSegment(dst, segment, secret)
		if n++; n == 1 {
			group = len(dst)
		}
	}
	if len(dst) == begin {
		dst = append(dst, '/')
		group = len(dst)
	}
	return dst, group
}

// appendSegment appends a segment, or "*" for one that is no word, with the ending of its
// name: a kind of file is a kind of answer. Of parameters (";jsessionid=") it keeps only
// that there are some. secret says that a word before this segment precedes a secret; it is
// returned for the next one.
func appendSegment(dst []byte, s string, secret bool) (_ []byte, secretNext bool) {
	s, _, parameters := strings.Cut(s, ";")
	stem, ending := s, ""
	if dot := strings.LastIndexByte(s, '.'); dot > 0 && isEnding(s[dot+1:]) {
		stem, ending = s[:dot], s[dot:]
	}
	plain, precedes := len(s) <= maxSegment, false
	if plain {
		plain, precedes = isWords(stem)
	}
	if !plain || secret && !precedes {
		if stem = "*"; strings.IndexByte(s, '@') >= 0 {
			ending = "" // of a host
		}
	}
	dst = append(dst, stem...)
	dst = append(dst, ending...)
	if parameters {
		dst = append(dst, ";*"...)
	}
	return dst, secret || precedes
}

// isEnding reports whether s is like "html" or "mp3".
func isEnding(s string) bool {
	if len(s) == 0 || len(s) > 5 || !isLetter(s[0]) {
		return false
	}
	for i := range len(s) {
		if !isLetter(s[i]) && (!isDigit(s[i]) || i < len(s)-1) {
			return false
		}
	}
	return true
}

// shortestHex is from how many hexadecimal digits on a word is a checksum.
const shortestHex = 8

// class is what a character may be part of.
type class uint8

const (
	digit     class = 1 << iota
	hexLetter       // a to f
	letter          // the others
	dash
	mark    // what stands between words besides
	foreign // everything else
)

// classOf is the class of each character. Asking for each in turn takes longer than
// everything else about a route.
var classOf = func() (table [256]class) {
	for i := range table {
		switch c := byte(i); {
		case '0' <= c && c <= '9':
			table[c] = digit
		case 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
			table[c] = hexLetter
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			table[c] = letter
		case c == '-':
			table[c] = dash
		case strings.IndexByte("_.:", c) >= 0:
			table[c] = mark
		default:
			table[c] = foreign
		}
	}
	return table
}()

func isDigit(c byte) bool { return classOf[c] == digit }

func isLetter(c byte) bool { return classOf[c]&(letter|hexLetter) != 0 }

func isNamePart(c byte) bool {
	return classOf[c]&(digit|letter|hexLetter|dash|mark) != 0
}

// queryName is a name in a query. Rest says that it went on with something that tells
// one of many: a number, an index.
type queryName struct {
	text string
	rest bool
}

func (n queryName) less(other queryName) bool {
	if n.text != other.text {
		return n.text < other.text
	}
	return !n.rest && other.rest
}

// appendNames appends the distinct names of a query, in order. A part without "=" may
// be a value as well as a name, and is a "*". Parts end at "&" and ";".
func appendNames(dst []byte, query string) []byte {
	if query == "" {
		return dst
	}
	var names [maxNames]queryName
	n, more := 0, false
	for parts := 0; query != ""; parts++ {
		if parts == maxParts {
			more = true
			break
		}
		var name queryName
		name, query = nextName(query)
		i := n
		for i > 0 && name.less(names[i-1]) {
			i--
		}
		if i > 0 && names[i-1] == name {
			continue
		}
		if n == maxNames {
			more = true
			if i == n {
				continue
			}
			n--
		}
		copy(names[i+1:n+1], names[i:n])
		names[i] = name
		n++
	}
	separator := byte('?')
	for _, name := range names[:n] {
		dst = append(dst, separator)
		dst = append(dst, name.text...)
		if name.rest {
			dst = append(dst, '*')
		}
		separator = ','
	}
	if more {
		dst = append(dst, ",**"...)
	}
	return dst
}

// nextName takes the first part off a query that is not empty.
func nextName(query string) (name queryName, rest string) {
	length := -1 // of the name
	end := 0
scan:
	for ; end < len(query); end++ {
		switch query[end] {
		case '&', ';':
			break scan
		case '=':
			if length < 0 {
				length = end
			}
		}
	}
	rest = query[min(end+1, len(query)):]
	if length < 0 {
		return queryName{rest: true}, rest
	}
	return cleanName(query[:length]), rest
}

// cleanName keeps a name up to an index or a number at its end, and nothing of one
// that is long or encoded.
func cleanName(s string) queryName {
	i := 0
	for i < len(s) && isNamePart(s[i]) {
		i++
	}
	if i == 0 || i > maxName || i < len(s) && s[i] != '[' {
		return queryName{rest: true}
	}
	end := i
	for end > 0 && isDigit(s[end-1]) {
		end--
	}
	if plain, _ := isWords(s[:end]); !plain || end == 0 {
		return queryName{rest: true}
	}
	return queryName{s[:end], end < len(s)}
}

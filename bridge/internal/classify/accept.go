package classify

import (
	"net/http"
	"strconv"
	"strings"
)

// The classes of answers that clients accept.
const (
	acceptsHTML   = "html"
	acceptsJSON   = "json"
	acceptsStream = "stream"
	acceptsImage  = "image"
	acceptsAny    = "any"
	acceptsOther  = "other"
)

// acceptClass returns the class of the first type in the Accept field. That is the type that
// browsers and libraries want most.
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

// PrefersJSON reports whether JSON is the type of answer that a client wants most.
func PrefersJSON(h http.Header) bool { return acceptClass(h) == acceptsJSON }

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

// prefersToWait reports whether a Prefer field has wait= (RFC 7240, section 4.3).
func prefersToWait(prefer []string) bool {
	for _, line := range prefer {
		for line != "" {
			var preference string
			preference, line, _ = strings.Cut(line, ",")
			preference, _, _ = strings.Cut(preference, ";")
			name, value, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			seconds, err := strconv.ParseUint(strings.Trim(value, " \t\""), 10, 32)
			return err == nil && seconds > 0
		}
	}
	return false
}

package cgi

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Coding returns the one of codings, such as "gzip", in which a client likes an answer best, by its
// Accept-Encoding (RFC 9110 section 12.5.3); of those that it likes as much, the first. It is "" if
// the client wants the answer as it is.
func Coding(h http.Header, codings []string) (best string) {
	lines := h["Accept-Encoding"]
	if len(lines) == 0 {
		return ""
	}
	identity, named := weight(lines, "identity")
	least := 0.0
	if named {
		least = identity
	}
	for _, coding := range codings {
		q, known := weight(lines, coding)
		if !known {
			q, _ = weight(lines, "*")
		}
		if q > 0 && (best == "" && q >= least || q > least) {
			best, least = coding, q
		}
	}
	return best
}

// weight returns the q-value of a coding, and whether the lines name it.
func weight(lines []string, coding string) (q float64, named bool) {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			name, parameters, _ := strings.Cut(item, ";")
			name = strings.Trim(name, " \t")
			if strings.EqualFold(name, coding) || coding == "gzip" && strings.EqualFold(name, "x-gzip") {
				return quality(parameters), true
			}
		}
	}
	return 0, false
}

// quality returns the q-value in parameters, 1 if there is none, 0 if it is malformed.
func quality(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.Trim(name, " \t"), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.Trim(value, " \t"), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return 1
}

// VaryByCoding notes in the header of an answer that it depends on Accept-Encoding.
func VaryByCoding(h http.Header) {
	const field = "Accept-Encoding"
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.Trim(name, " \t"); name == "*" || strings.EqualFold(name, field) {
				return
			}
		}
	}
	h["Vary"] = append(slices.Clip(h["Vary"]), field)
}

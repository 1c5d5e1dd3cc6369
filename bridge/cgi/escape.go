package cgi

import "strings"

// startsEscape reports whether s starts with a percent escape (RFC 3986 section 2.1).
func startsEscape(s string) bool {
	if len(s) < 3 || s[0] != '%' {
		return false
	}
	_, high := hexDigit(s[1])
	_, low := hexDigit(s[2])
	return high && low
}

// hasEscape reports whether s contains a percent escape.
func hasEscape(s string) bool {
	for i := range len(s) {
		if startsEscape(s[i:]) {
			return true
		}
	}
	return false
}

// wellEscaped reports whether every percent sign in s starts an escape.
func wellEscaped(s string) bool {
	for ; ; s = s[1:] {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			return true
		}
		if s = s[i:]; !startsEscape(s) {
			return false
		}
	}
}

func hexDigit(c byte) (value byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

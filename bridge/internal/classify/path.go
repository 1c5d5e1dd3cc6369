package classify

import "strings"

// appendPath appends a path without its empty segments. It returns the length up to the end
// of the first segment below mount.
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

// appendSegment appends a segment, or "*" for a segment that is not made of words. The ending
// of a file name stays: a kind of file is a kind of answer. Parameters (";jsessionid=") become
// ";*". secret says that a word before this segment precedes a secret; secretNext is the same
// for the next segment.
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

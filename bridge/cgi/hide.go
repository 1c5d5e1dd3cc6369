package cgi

import (
	"fmt"
	"path"
	"strings"
)

// cleanHide checks the paths to hide. Each is a whole URL path or one below the mount.
func cleanHide(mount string, list []string) ([]string, error) {
	var hide []string
	for _, p := range list {
		clean := path.Clean(p)
		switch {
		case !strings.HasPrefix(p, "/") || clean == "/":
			return nil, fmt.Errorf("cgi: hide %q: want a path below the root, beginning with \"/\"", p)
		case hasBreak(p):
			return nil, fmt.Errorf("cgi: hide %q: must not hold NUL, CR or LF", p)
		case strings.ContainsAny(p, "*?"):
			return nil, fmt.Errorf("cgi: hide %q: can match nothing, it is no pattern and has no query (\"/data\" hides all that is below it)", p)
		case hasEscape(p):
			return nil, fmt.Errorf("cgi: hide %q: can match nothing, paths are compared when they are decoded: write \"/a b\" for \"/a%%20b\"", p)
		case isBelow(clean, mount):
			return nil, fmt.Errorf("cgi: hide %q: hides everything, the mount is %q (write \"%s/...\" for what is below it)", p, mount, mount)
		}
		hide = append(hide, clean)
	}
	return hide, nil
}

// Hides reports whether the file at path below Root, "/index.php", is hidden.
func (c Config) Hides(path string) bool {
	m, err := c.mapper()
	return err == nil && m.hides(m.mount+path)
}

// hides reports whether a URL path is hidden, be it written whole or as it is below the
// mount.
func (m *Mapper) hides(p string) bool {
	if len(m.hide) == 0 {
		return false
	}
	p = path.Clean(p)
	rest, mounted := strings.CutPrefix(p, m.mount)
	mounted = mounted && m.mount != ""
	for _, h := range m.hide {
		if isBelow(h, p) || mounted && isBelow(h, rest) {
			return true
		}
	}
	return false
}

// isBelow reports whether the cleaned path p is prefix, or below it. What follows ";" is
// a parameter of the segment (RFC 3986 section 3.3), which some applications cut off.
func isBelow(prefix, p string) bool {
	rest, ok := strings.CutPrefix(p, prefix)
	return ok && prefix != "" && (rest == "" || rest[0] == '/' || rest[0] == ';')
}

// hasEscape reports whether s has a percent escape in it.
func hasEscape(s string) bool {
	for {
		_, after, ok := strings.Cut(s, "%")
		if !ok {
			return false
		}
		if len(after) >= 2 && isHexDigit(after[0]) && isHexDigit(after[1]) {
			return true
		}
		s = after
	}
}

func isHexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

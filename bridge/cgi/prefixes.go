package cgi

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Prefixes is a list of URL paths, each of which includes everything below it. Each is
// written as a whole path, or relative to the mount. "*" stands for any name between two slashes:
// "/*/login".
type Prefixes struct {
	mount string // "" or "/x"
	list  []string
}

// NewPrefixes checks list. An error names key, the setting that the list belongs to.
func NewPrefixes(key, mount string, list []string) (p Prefixes, err error) {
	if p.mount, err = cleanMount(mount); err != nil {
		return p, err
	}
	for _, text := range list {
		switch {
		case !strings.HasPrefix(text, "/") || path.Clean(text) == "/":
			return p, fmt.Errorf("cgi: %s %q: want a path below the root, beginning with \"/\"", key, text)
		case hasBreak(text):
			return p, fmt.Errorf("cgi: %s %q: must not hold NUL, CR or LF", key, text)
		case strings.Contains(text, "?"), slices.ContainsFunc(strings.Split(text, "/"), func(name string) bool { return strings.Contains(name, "*") && name != "*" }):
			return p, fmt.Errorf("cgi: %s %q: can match nothing, it has no query, and * only for a whole name (\"/data\" stands for all that is below it, \"/*/login\" for that of any name)", key, text)
		case strings.HasSuffix(path.Clean(text), "/*"):
			return p, fmt.Errorf("cgi: %s %q: ends in *: write %q, which stands for all that is below it", key, text, strings.TrimSuffix(path.Clean(text), "/*"))
		case hasEscape(text):
			return p, fmt.Errorf("cgi: %s %q: can match nothing, paths are compared when they are decoded: write \"/a b\" for \"/a%%20b\"", key, text)
		}
		p.list = append(p.list, path.Clean(text))
	}
	return p, nil
}

// Has reports whether urlPath is one of the prefixes or below one. urlPath need not be clean. It is read
// in two ways: as it is, and without what follows ";" in each of its names, which is a parameter (RFC 3986
// section 3.3) that some applications cut off before they remove dot segments: "/x/..;/admin".
func (p *Prefixes) Has(urlPath string) bool {
	if len(p.list) == 0 {
		return false
	}
	return p.has(path.Clean(urlPath)) ||
		strings.IndexByte(urlPath, ';') >= 0 && p.has(path.Clean(withoutParameters(urlPath)))
}

func withoutParameters(urlPath string) string {
	names := strings.Split(urlPath, "/")
	for i := range names {
		names[i], _, _ = strings.Cut(names[i], ";")
	}
	return strings.Join(names, "/")
}

func (p *Prefixes) has(clean string) bool {
	rest, mounted := strings.CutPrefix(clean, p.mount)
	mounted = mounted && p.mount != ""
	for _, prefix := range p.list {
		if isBelow(prefix, clean) || mounted && isBelow(prefix, rest) {
			return true
		}
	}
	return false
}

// Protects is Has for paths that require log-in. It finds the prefixes below a script, too: front
// controllers answer "/index.php/login" as they do "/login".
func (p *Prefixes) Protects(urlPath string) bool {
	if p.Has(urlPath) {
		return true
	}
	for i := range len(urlPath) {
		if urlPath[i] == '/' && endsInScript(urlPath[:i]) && p.Has(urlPath[i:]) {
			return true
		}
	}
	return false
}

// endsInScript reports a path that ends in the name of a script.
func endsInScript(urlPath string) bool {
	name := urlPath[strings.LastIndexByte(urlPath, '/')+1:]
	switch strings.ToLower(name[max(0, strings.LastIndexByte(name, '.')):]) {
	case ".php", ".cgi", ".fcgi", ".pl", ".py", ".rb":
		return true
	}
	return false
}

// newHidden checks Config.Hide.
func newHidden(mount string, list []string) (Prefixes, error) {
	p, err := NewPrefixes("hide", mount, list)
	if err != nil {
		return p, err
	}
	for i, h := range p.list {
		if isBelow(h, p.mount) {
			return p, fmt.Errorf("cgi: hide %q: hides everything, the mount is %q (write \"%s/...\" for what is below it)", list[i], p.mount, p.mount)
		}
	}
	return p, nil
}

// Hides reports whether the file at path below Root, "/index.php", is hidden.
func (c Config) Hides(path string) bool {
	m, err := c.mapper()
	return err == nil && m.hide.Has(m.mount+path)
}

// isBelow reports whether the cleaned path p is prefix, or below it.
func isBelow(prefix, p string) bool {
	if prefix == "" {
		return false
	}
	for {
		before, after, star := strings.Cut(prefix, "/*/")
		rest, ok := strings.CutPrefix(p, before)
		switch {
		case !ok:
			return false
		case !star:
			return rest == "" || rest[0] == '/'
		}
		name, found := strings.CutPrefix(rest, "/") // that the star stands for
		end := strings.IndexByte(name, '/')
		if !found || end <= 0 {
			return false
		}
		prefix, p = "/"+after, name[end:]
	}
}

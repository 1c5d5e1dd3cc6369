package cgi

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// target is what a path stands for.
type target struct {
	script   string // SCRIPT_NAME below the mount: "" or "/x.php"
	pathInfo string // what follows the script: "" or something that starts with "/"
}

// target finds the script for rest, the cleaned path below the mount.
func (m *Mapper) target(r *http.Request, rest string) (target, error) {
	t, err := m.find(rest, r.URL.RawQuery)
	if m.fallback == "" || err == nil {
		return t, err
	}
	if refused, ok := errors.AsType[*RequestError](err); !ok || !refused.nothing {
		return target{}, err
	}
	info, missing := m.stat(m.fallback)
	if missing != nil || !info.Mode().IsRegular() || !m.isScript(m.fallback, info) {
		return target{}, err
	}
	return target{script: m.fallback}, nil
}

// find finds it among what is there. A directory without its slash is redirected to with
// the query.
func (m *Mapper) find(rest, query string) (target, error) {
	switch m.preset {
	case PresetPHP:
		return m.phpScript(rest, query)
	case PresetCGI:
		return m.cgiScript(rest, query)
	}
	return target{pathInfo: rest}, nil
}

// StaticFile returns the file below Root that r asks for, if it is one that a
// server of static files may send: it exists, is neither a script nor the source or a
// backup of one, and no element of its name starts with a dot (but /.well-known/ may).
// The preset "app" has none.
func (m *Mapper) StaticFile(r *http.Request) (name string, ok bool) {
	if m.preset == PresetApp {
		return "", false
	}
	p, err := CleanPath(r)
	if err != nil {
		return "", false
	}
	rest, err := m.belowMount(p)
	if err != nil {
		return "", false
	}
	_, err = m.target(r, rest)
	if refused, is := errors.AsType[*RequestError](err); is {
		return refused.File, refused.File != ""
	}
	return "", false
}

// phpScript splits rest after the first ".php" that ends a segment and is a
// file. A path that has none may be a directory with an index. PHP never gets
// the name of anything else: with cgi.fix_pathinfo it would look for a script
// on its own and run an uploaded image.
func (m *Mapper) phpScript(rest, query string) (target, error) {
	for end := nextPHP(rest, 0); end >= 0; end = nextPHP(rest, end) {
		info, err := m.stat(rest[:end])
		if err != nil {
			return target{}, err
		}
		if info.IsDir() {
			continue
		}
		if !info.Mode().IsRegular() {
			return target{}, notFound("%.200q is not a regular file", rest[:end])
		}
		return runnable(target{"/" + fileName(rest[:end]), rest[end:]})
	}
	info, err := m.stat(rest)
	if err != nil {
		return target{}, err
	}
	if info.IsDir() {
		return m.directory(rest, query)
	}
	return target{}, m.notScript(rest, info)
}

// cgiScript walks rest down to the first thing that is not a directory. A file
// has nothing below it, so that is the longest prefix that is a file, too.
func (m *Mapper) cgiScript(rest, query string) (target, error) {
	for end := nextSegment(rest, 0); end >= 0; end = nextSegment(rest, end) {
		info, err := m.stat(rest[:end])
		if err != nil {
			return target{}, err
		}
		if info.IsDir() {
			continue
		}
		if !info.Mode().IsRegular() {
			return target{}, notFound("%.200q is not a regular file", rest[:end])
		}
		if executable(info) {
			return runnable(target{"/" + fileName(rest[:end]), rest[end:]})
		}
		if end < len(rest) {
			return target{}, notFound("%.200q is a file and not executable, there is nothing below it", rest[:end])
		}
		return target{}, m.notScript(rest, info)
	}
	return m.directory(rest, query)
}

// runnable returns t, unless the name of its script, or of a directory above it, begins
// with a dot: .git, .svn, an editor's copy.
func runnable(t target) (target, error) {
	if hasDot(t.script) {
		return target{}, notFound("%.200q begins with a dot, and is not run", t.script)
	}
	return t, nil
}

// directory finds the index of the directory rest.
func (m *Mapper) directory(rest, query string) (target, error) {
	if hasDot(rest) {
		return target{}, notFound("%.200q is a directory that begins with a dot", rest)
	}
	if len(m.index) == 0 {
		return target{}, nothingAt("%.200q is a directory", rest)
	}
	dir := fileName(rest)
	if !strings.HasSuffix(rest, "/") {
		// Relative links in the index would lead to its parent otherwise.
		return target{}, &RequestError{
			Status:   http.StatusMovedPermanently,
			Reason:   fmt.Sprintf("%.200q is a directory, \"/\" is missing", rest),
			Location: slashLocation(m.mount, dir, query),
		}
	}
	for _, name := range m.index {
		name = path.Join(dir, name)
		info, err := m.root.Stat(name)
		if notExist(err) {
			continue
		}
		if err != nil {
			return target{}, m.statError(name, err)
		}
		if !info.Mode().IsRegular() || m.hide.Has(m.mount+"/"+name) {
			continue
		}
		if m.isScript(name, info) {
			return target{script: "/" + name}, nil
		}
		return target{}, m.notScript("/"+name, info)
	}
	return target{}, nothingAt("directory %.200q has no index (%s)", rest, strings.Join(m.index, ", "))
}

// slashLocation is built from the name that was looked up, not from what the
// client sent: "//host/dir" would lead to another site.
func slashLocation(mount, dir, query string) string {
	p := mount + "/"
	if dir != "." {
		p += dir + "/"
	}
	u := url.URL{Path: p, RawQuery: printable(query)}
	return u.RequestURI()
}

// printable returns a query without what must not stand in a header field: net/http's
// server refuses such requests, others that make an http.Request may not.
func printable(query string) string {
	bad := func(c byte) bool { return c <= ' ' || c >= 0x7f || c == '#' }
	i := 0
	for i < len(query) && !bad(query[i]) {
		i++
	}
	if i == len(query) {
		return query
	}
	var b strings.Builder
	for i := range len(query) {
		if bad(query[i]) {
			fmt.Fprintf(&b, "%%%02X", query[i])
		} else {
			b.WriteByte(query[i])
		}
	}
	return b.String()
}

func (m *Mapper) isScript(name string, info fs.FileInfo) bool {
	if m.preset == PresetCGI {
		return executable(info)
	}
	return hasPHPSuffix(name)
}

func (m *Mapper) stat(p string) (fs.FileInfo, error) {
	info, err := m.root.Stat(fileName(p))
	if err != nil {
		return nil, m.statError(p, err)
	}
	return info, nil
}

func (m *Mapper) statError(p string, err error) error {
	switch {
	case notExist(err):
		return nothingAt("%.200q does not exist below %s", p, m.root.Dir())
	case errors.Is(err, ErrOutsideRoot):
		return &RequestError{Status: http.StatusForbidden, Reason: fmt.Sprintf("%.200q: %v", p, cause(err))}
	case errors.Is(err, fs.ErrPermission):
		return &RequestError{Status: http.StatusForbidden, Reason: fmt.Sprintf("%.200q may not be looked at below %s (check the directory's permissions)", p, m.root.Dir())}
	case errors.Is(err, fs.ErrInvalid):
		return badRequest("%.200q is no file name", p)
	}
	return fmt.Errorf("cgi: look for script: %w", err)
}

// cause is what the system, or a Root, says of a name, without the name.
func cause(err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		return inner.Err
	}
	return err
}

func executable(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// nextPHP returns the end of the first ".php" in p[from:] that ends a segment,
// -1 if there is none. ASCII only: lower-casing other letters can change the
// length of p, and an offset into the copy would cut the original elsewhere.
func nextPHP(p string, from int) int {
	for end := nextSegment(p, from); end >= 0; end = nextSegment(p, end) {
		if hasPHPSuffix(p[:end]) {
			return end
		}
	}
	return -1
}

func hasPHPSuffix(name string) bool {
	if len(name) < len(".php") {
		return false
	}
	s := name[len(name)-len(".php"):]
	return s[0] == '.' && s[1]|0x20 == 'p' && s[2]|0x20 == 'h' && s[3]|0x20 == 'p'
}

// nextSegment returns the end of the first segment of p at or after from that is
// not empty, -1 if there is none.
func nextSegment(p string, from int) int {
	for from < len(p) && p[from] == '/' {
		from++
	}
	if from >= len(p) {
		return -1
	}
	if n := strings.IndexByte(p[from:], '/'); n >= 0 {
		return from + n
	}
	return len(p)
}

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
	t, err := m.find(r, rest)
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

func (m *Mapper) find(r *http.Request, rest string) (target, error) {
	switch m.preset {
	case PresetPHP:
		return m.phpScript(r, rest)
	case PresetCGI:
		return m.cgiScript(r, rest)
	}
	return target{pathInfo: rest}, nil
}

// StaticFile returns the file below Root that r asks for, if it is one that a
// server of static files may send: it exists, is no script, and no element of
// its name starts with a dot (but /.well-known/ may). The preset "app" has none.
func (m *Mapper) StaticFile(r *http.Request) (name string, ok bool) {
	if m.preset == PresetApp {
		return "", false
	}
	p, err := cleanPath(r)
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
func (m *Mapper) phpScript(r *http.Request, rest string) (target, error) {
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
		return target{"/" + fileName(rest[:end]), rest[end:]}, nil
	}
	info, err := m.stat(rest)
	if err != nil {
		return target{}, err
	}
	if info.IsDir() {
		return m.directory(r, rest)
	}
	return target{}, m.notScript(rest, info)
}

// cgiScript walks rest down to the first thing that is not a directory. A file
// has nothing below it, so that is the longest prefix that is a file, too.
func (m *Mapper) cgiScript(r *http.Request, rest string) (target, error) {
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
			return target{"/" + fileName(rest[:end]), rest[end:]}, nil
		}
		if end < len(rest) {
			return target{}, notFound("%.200q is a file and not executable, there is nothing below it", rest[:end])
		}
		return target{}, m.notScript(rest, info)
	}
	return m.directory(r, rest)
}

// directory finds the index of the directory rest.
func (m *Mapper) directory(r *http.Request, rest string) (target, error) {
	if len(m.index) == 0 {
		return target{}, nothingAt("%.200q is a directory", rest)
	}
	dir := fileName(rest)
	if !strings.HasSuffix(rest, "/") {
		// Relative links in the index would lead to its parent otherwise.
		return target{}, &RequestError{
			Status:   http.StatusMovedPermanently,
			Reason:   fmt.Sprintf("%.200q is a directory, \"/\" is missing", rest),
			Location: slashLocation(m.mount, dir, r.URL.RawQuery),
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
		if !info.Mode().IsRegular() {
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
	u := url.URL{Path: p, RawQuery: query}
	return u.RequestURI()
}

func (m *Mapper) isScript(name string, info fs.FileInfo) bool {
	if m.preset == PresetCGI {
		return executable(info)
	}
	return hasPHPSuffix(name)
}

// notScript is the answer for rest, which exists and is no script.
func (m *Mapper) notScript(rest string, info fs.FileInfo) *RequestError {
	if m.looksLikeScript(rest) {
		return &RequestError{
			Status: http.StatusForbidden,
			Reason: fmt.Sprintf("%.200q is a script by its name but may not be run (cgi: chmod +x; php: only .php is run)", rest),
		}
	}
	refused := notFound("%.200q is not a script", rest)
	if info.Mode().IsRegular() && !strings.HasSuffix(rest, "/") && !hidden(rest) {
		refused.File = fileName(rest)
	}
	return refused
}

// looksLikeScript keeps programs that are not run from being sent as text.
func (m *Mapper) looksLikeScript(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	if strings.HasPrefix(ext, ".php") || ext == ".phtml" || ext == ".phar" || ext == ".pht" {
		return true
	}
	if m.preset == PresetPHP {
		return false
	}
	switch ext {
	case ".cgi", ".fcgi", ".pl", ".py", ".rb", ".sh", ".lua":
		return true
	}
	return false
}

func hidden(rest string) bool {
	for segment := range strings.SplitSeq(strings.TrimPrefix(rest, "/.well-known/"), "/") {
		if strings.HasPrefix(segment, ".") {
			return true
		}
	}
	return false
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
		return &RequestError{Status: http.StatusForbidden, Reason: fmt.Sprintf("%.200q %v", p, ErrOutsideRoot)}
	case errors.Is(err, fs.ErrPermission):
		return &RequestError{Status: http.StatusForbidden, Reason: fmt.Sprintf("%.200q may not be looked at below %s (check the directory's permissions)", p, m.root.Dir())}
	case errors.Is(err, fs.ErrInvalid):
		return badRequest("%.200q is no file name", p)
	}
	return fmt.Errorf("cgi: look for script: %w", err)
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

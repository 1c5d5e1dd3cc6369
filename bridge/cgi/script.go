package cgi

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
)

// target is what a path stands for.
type target struct {
	script   string // SCRIPT_NAME below the mount: "" or "/x.php"
	pathInfo string // what follows the script: "" or something that starts with "/"
	root     string // DOCUMENT_ROOT, "" if there is none
}

// target finds the script for rest, the cleaned path below the mount.
func (m *Mapper) target(r *http.Request, rest string) (target, error) {
	s, err := m.search(r)
	if err != nil {
		return target{}, err
	}
	defer s.end()
	t, err := s.target(rest)
	t.root = s.documentRoot()
	return t, err
}

// target finds the script for rest. Where nothing is, it looks whether the root has
// become another one, and for the fallback.
func (s *search) target(rest string) (target, error) {
	t, err := s.find(rest)
	if !isNothing(err) {
		return t, err
	}
	if s.renew() {
		if t, err = s.find(rest); !isNothing(err) {
			return t, err
		}
	}
	if s.fallback == "" || !s.runs(s.fallback) {
		return t, err
	}
	return target{script: s.fallback}, nil
}

func isNothing(err error) bool {
	refused, ok := err.(*RequestError)
	return ok && refused.nothing
}

// runs reports whether the file at the path p is a script.
func (s *search) runs(p string) bool {
	if s.unchecked {
		return true
	}
	info, err := s.stat(p)
	return err == nil && info.Mode().IsRegular() && s.isScript(p, info)
}

// find finds the script among what is there.
func (s *search) find(rest string) (target, error) {
	switch {
	case s.preset == PresetApp:
		return target{pathInfo: rest}, nil
	case slices.Contains(s.virtual, rest):
		return target{script: rest}, nil
	case s.unchecked:
		return s.scriptByName(rest)
	case s.preset == PresetPHP:
		return s.phpScript(rest)
	}
	return s.cgiScript(rest)
}

// phpScript splits rest after the first ".php" that ends a segment and is a
// file. A path that has none may be a directory with an index. PHP never gets
// the name of anything else: with cgi.fix_pathinfo it would look for a script
// on its own and run an uploaded image.
func (s *search) phpScript(rest string) (target, error) {
	for end := nextPHP(rest, 0); end >= 0; end = nextPHP(rest, end) {
		info, err := s.stat(rest[:end])
		if err != nil {
			return target{}, err
		}
		if info.IsDir() {
			continue
		}
		if !info.Mode().IsRegular() {
			return target{}, notFound("%.200q is not a regular file", rest[:end])
		}
		return runnable(target{script: "/" + fileName(rest[:end]), pathInfo: rest[end:]})
	}
	info, err := s.stat(rest)
	if err != nil {
		return target{}, err
	}
	if info.IsDir() {
		return s.directory(rest)
	}
	return target{}, s.notScript(rest, info)
}

// cgiScript walks rest down to the first thing that is not a directory. A file
// has nothing below it, so that is the longest prefix that is a file, too.
func (s *search) cgiScript(rest string) (target, error) {
	for end := nextSegment(rest, 0); end >= 0; end = nextSegment(rest, end) {
		info, err := s.stat(rest[:end])
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
			return runnable(target{script: "/" + fileName(rest[:end]), pathInfo: rest[end:]})
		}
		if end < len(rest) {
			return target{}, notFound("%.200q is a file and not executable, there is nothing below it", rest[:end])
		}
		return target{}, s.notScript(rest, info)
	}
	return s.directory(rest)
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
func (s *search) directory(rest string) (target, error) {
	if hasDot(rest) {
		return target{}, notFound("%.200q is a directory that begins with a dot", rest)
	}
	if len(s.index) == 0 {
		return target{}, nothingAt("%.200q is a directory", rest)
	}
	dir := fileName(rest)
	if !strings.HasSuffix(rest, "/") {
		return target{}, s.slashMissing(dir)
	}
	for _, name := range s.index {
		name = path.Join(dir, name)
		info, err := s.trees.stat(name)
		if notExist(err) {
			continue
		}
		if err != nil {
			return target{}, s.statError(name, err)
		}
		if !info.Mode().IsRegular() || s.hide.Has(s.mount+"/"+name) {
			continue
		}
		if s.isScript(name, info) {
			return target{script: "/" + name}, nil
		}
		return target{}, s.notScript("/"+name, info)
	}
	return target{}, nothingAt("directory %.200q has no index (%s)", rest, strings.Join(s.index, ", "))
}

func (m *Mapper) isScript(name string, info fs.FileInfo) bool {
	if m.preset == PresetCGI {
		return executable(info)
	}
	return hasPHPSuffix(name)
}

func (s *search) stat(p string) (fs.FileInfo, error) {
	info, err := s.trees.stat(fileName(p))
	if err != nil {
		return nil, s.statError(p, err)
	}
	return info, nil
}

func (s *search) statError(p string, err error) error {
	switch {
	case notExist(err) && s.trees.root().err != nil:
		return nothingAt("%.200q: the root is not there: %v", p, errors.Unwrap(s.trees.root().err))
	case notExist(err):
		return nothingAt("%.200q does not exist below %s", p, s.dir)
	case errors.Is(err, ErrOutsideRoot):
		return &RequestError{Status: http.StatusForbidden, Reason: fmt.Sprintf("%.200q: %v", p, cause(err))}
	case errors.Is(err, fs.ErrPermission):
		return &RequestError{Status: http.StatusForbidden, Reason: fmt.Sprintf("%.200q may not be looked at below %s (check the directory's permissions)", p, s.dir)}
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

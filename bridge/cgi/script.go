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

// resolved is the result of resolving a path.
type resolved struct {
	script   string // SCRIPT_NAME below the mount: "" or "/x.php"
	pathInfo string // the remainder of the path: "" or a path that starts with "/"
	query    string // that comes before the client's
	root     string // DOCUMENT_ROOT, "" if there is none
}

// resolve finds the script for rest, the clean path below the mount.
func (m *Mapper) resolve(r *http.Request, rest string) (resolved, error) {
	s, err := m.search(r)
	if err != nil {
		return resolved{}, err
	}
	defer s.close()
	t, err := s.resolve(rest)
	t.root = s.documentRoot()
	return t, err
}

// resolve finds the script for rest. If there is none, it checks whether the root has been
// switched, and then uses the fallback.
func (s *search) resolve(rest string) (resolved, error) {
	t, err := s.find(rest)
	if !isNothingThere(err) {
		return t, err
	}
	if s.renew() {
		if t, err = s.find(rest); !isNothingThere(err) {
			return t, err
		}
	}
	if s.fallback.script == "" || s.static.ends(rest) || !s.runs(s.fallback.script) {
		return t, err
	}
	return s.fallback.resolve(rest), nil
}

func isNothingThere(err error) bool {
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

// find finds the script in the directories that are open.
func (s *search) find(rest string) (resolved, error) {
	switch {
	case s.preset == PresetApp:
		return resolved{pathInfo: rest}, nil
	case slices.Contains(s.virtual, rest):
		return resolved{script: rest}, nil
	case s.unchecked:
		return s.scriptByName(rest)
	case s.preset == PresetPHP:
		return s.phpScript(rest)
	}
	return s.cgiScript(rest)
}

// phpScript splits rest after the first segment that ends in ".php" and is a file. A path
// without one may be a directory with an index. PHP never gets any other name: with
// cgi.fix_pathinfo it would look for a script by itself and run an uploaded image.
func (s *search) phpScript(rest string) (resolved, error) {
	end, _, err := s.firstFile(rest, nextPHP)
	if err != nil {
		return resolved{}, err
	}
	if end >= 0 {
		return s.runnable(splitAt(rest, end))
	}
	info, err := s.stat(rest)
	if err != nil {
		return resolved{}, err
	}
	if info.IsDir() {
		return s.directory(rest)
	}
	return resolved{}, s.notScript(rest, info)
}

// cgiScript splits rest after the first segment that is not a directory. Nothing is below a
// file, so this is also the longest prefix that is a file.
func (s *search) cgiScript(rest string) (resolved, error) {
	end, info, err := s.firstFile(rest, nextSegment)
	switch {
	case err != nil:
		return resolved{}, err
	case end < 0:
		return s.directory(rest)
	case executable(info):
		return s.runnable(splitAt(rest, end))
	case end < len(rest):
		return resolved{}, notFound("%.200q is a file and not executable, there is nothing below it", rest[:end])
	}
	return resolved{}, s.notScript(rest, info)
}

// firstFile returns the end of the first prefix of rest that is a regular file, -1 if all are
// directories. next returns the end of the next prefix to look at.
func (s *search) firstFile(rest string, next func(p string, from int) int) (end int, info fs.FileInfo, err error) {
	for end = next(rest, 0); end >= 0; end = next(rest, end) {
		if info, err = s.stat(rest[:end]); err != nil {
			return -1, nil, err
		}
		switch {
		case info.IsDir():
		case info.Mode().IsRegular():
			return end, info, nil
		default:
			return -1, nil, notFound("%.200q is not a regular file", rest[:end])
		}
	}
	return -1, nil, nil
}

// splitAt returns the script rest[:end] with the remainder as PATH_INFO.
func splitAt(rest string, end int) resolved {
	return resolved{script: "/" + fileName(rest[:end]), pathInfo: rest[end:]}
}

// runnable refuses t if the name of its script, or of a directory above it, starts with a
// dot: .git, .svn, an editor's copy.
func (m *Mapper) runnable(t resolved) (resolved, error) {
	switch {
	case hasDot(t.script):
		return resolved{}, notFound("%.200q begins with a dot, and is not run", t.script)
	case len(m.scripts) > 0 && !matchesAny(m.scripts, t.script):
		return resolved{}, nothingAt("%.200q is not in scripts, and is not run", t.script)
	}
	return t, nil
}

// checkScripts checks Config.Scripts.
func checkScripts(preset string, list []string) ([]string, error) {
	if len(list) > 0 && preset == PresetApp {
		return nil, errors.New("cgi: scripts: preset \"app\" has no files (remove it, or use preset \"php\")")
	}
	for _, text := range list {
		if !strings.HasPrefix(text, "/") || hasBreak(text) || strings.Contains(text, "?") || hasEscape(text) || path.Clean(text) != text {
			return nil, fmt.Errorf("cgi: scripts %q: want a script's path below the root, such as \"/index.php\" or \"/ocs/*.php\"", text)
		}
	}
	return slices.Clone(list), nil
}

// directory finds the index of the directory rest.
func (s *search) directory(rest string) (resolved, error) {
	if hasDot(rest) {
		return resolved{}, notFound("%.200q is a directory that begins with a dot", rest)
	}
	if len(s.index) == 0 {
		return resolved{}, nothingAt("%.200q is a directory", rest)
	}
	dir := fileName(rest)
	if !strings.HasSuffix(rest, "/") {
		return resolved{}, slashMissing(s.r, s.mount, dir)
	}
	for _, name := range s.index {
		name = path.Join(dir, name)
		info, err := s.trees.stat(name)
		if notExist(err) {
			continue
		}
		if err != nil {
			return resolved{}, s.statError(name, err)
		}
		if !info.Mode().IsRegular() || s.hides(s.mount+"/"+name) {
			continue
		}
		if s.isScript(name, info) {
			return s.runnable(resolved{script: "/" + name})
		}
		return resolved{}, s.notScript("/"+name, info)
	}
	return resolved{}, nothingAt("directory %.200q has no index (%s)", rest, strings.Join(s.index, ", "))
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

// cause returns the error of a fs.PathError without the name.
func cause(err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		return inner.Err
	}
	return err
}

func executable(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// nextPHP returns the end of the first segment in p[from:] that ends in ".php", -1 if there
// is none. It compares ASCII only: lower-casing other letters can change the length of p, and
// an offset into the copy would not fit the original.
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

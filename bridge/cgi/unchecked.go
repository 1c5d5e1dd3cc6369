package cgi

import (
	"path"
	"strings"
)

// scriptByName finds the script by the path alone, for files that this process cannot see:
// the path up to the first segment that has the extension of a script.
func (s *search) scriptByName(rest string) (resolved, error) {
	for end := nextSegment(rest, 0); end >= 0; end = nextSegment(rest, end) {
		switch name := strings.ToLower(path.Base(rest[:end])); {
		case s.isScriptName(rest[:end]):
			return s.runnable(splitAt(rest, end))
		case end < len(rest) && s.isFileByName(name):
			// PHP would look for a script on its own, and run an image that was uploaded.
			return resolved{}, notFound("%.200q is a file by its name, and there is nothing below it", rest[:end])
		}
	}
	if refused := s.neverSent(rest); refused != nil {
		return resolved{}, refused
	}
	return s.indexByName(rest)
}

// indexByName finds the index of rest, if rest may be a directory. With a fallback, only the
// root is taken for one.
func (s *search) indexByName(rest string) (resolved, error) {
	dir := fileName(rest)
	switch {
	case rest == "":
		return resolved{}, slashMissing(s.r, s.mount, dir)
	case !strings.HasSuffix(rest, "/") || s.fallback.script != "" && dir != ".":
		return resolved{}, nothingAt("%.200q has no script in it by its name, and whether it is a file is not looked at (check_files is off)", rest)
	}
	for _, name := range s.index {
		name = path.Join(dir, name)
		if s.isScriptName(name) && !s.hide.Has(s.mount+"/"+name) {
			return s.runnable(resolved{script: "/" + name})
		}
	}
	return resolved{}, nothingAt("directory %.200q has no index", rest)
}

// isScriptName reports whether a file of this name is run.
func (m *Mapper) isScriptName(name string) bool {
	if m.preset == PresetPHP {
		return hasPHPSuffix(name)
	}
	return isProgram(strings.ToLower(path.Ext(name)))
}

// isFileByName reports whether name, in lower case, is taken for a file's, not a directory's.
func (m *Mapper) isFileByName(name string) bool {
	ext := path.Ext(name)
	_, usual := usualTypes[ext]
	return usual || m.isSource(ext)
}

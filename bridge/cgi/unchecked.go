package cgi

import (
	"path"
	"strings"
)

// scriptByName finds the script by the path alone: the files are where this process does
// not see them. It is the path up to the first segment that ends as a script does.
func (s *search) scriptByName(rest string) (target, error) {
	for end := nextSegment(rest, 0); end >= 0; end = nextSegment(rest, end) {
		switch name := strings.ToLower(path.Base(rest[:end])); {
		case s.isScriptName(rest[:end]):
			return runnable(target{script: "/" + fileName(rest[:end]), pathInfo: rest[end:]})
		case end < len(rest) && s.isFileByName(name):
			// PHP would look for a script on its own, and run an image that was uploaded.
			return target{}, notFound("%.200q is a file by its name, and there is nothing below it", rest[:end])
		}
	}
	if refused := s.unsent(rest); refused != nil {
		return target{}, refused
	}
	return s.indexByName(rest)
}

// indexByName finds the index of rest, if that is a directory. Where there is a fallback,
// only the root is known to be one.
func (s *search) indexByName(rest string) (target, error) {
	dir := fileName(rest)
	switch {
	case rest == "":
		return target{}, s.slashMissing(dir)
	case !strings.HasSuffix(rest, "/") || s.fallback != "" && dir != ".":
		return target{}, nothingAt("%.200q has no script in it by its name, and whether it is a file is not looked at (check_files is off)", rest)
	}
	for _, name := range s.index {
		name = path.Join(dir, name)
		if s.isScriptName(name) && !s.hide.Has(s.mount+"/"+name) {
			return target{script: "/" + name}, nil
		}
	}
	return target{}, nothingAt("directory %.200q has no index", rest)
}

// isScriptName reports the names of what is run.
func (m *Mapper) isScriptName(name string) bool {
	if m.preset == PresetPHP {
		return hasPHPSuffix(name)
	}
	return isProgram(strings.ToLower(path.Ext(name)))
}

// isFileByName reports names that directories do not have, in lower case.
func (m *Mapper) isFileByName(name string) bool {
	ext := path.Ext(name)
	_, usual := usualTypes[ext]
	return usual || m.isSource(ext)
}

package cgi

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

func (m *Mapper) checkRoot(cfg Config) error {
	switch m.preset {
	case PresetApp:
	case PresetPHP, PresetCGI:
		if cfg.Root == "" && !cfg.AllReceived {
			return fmt.Errorf("cgi: root: preset %q needs the directory of its scripts", m.preset)
		}
	default:
		return fmt.Errorf("cgi: preset %q: must be %q, %q or %q", m.preset, PresetApp, PresetPHP, PresetCGI)
	}
	for _, dir := range append([]string{cfg.Root}, cfg.Follow...) {
		if hasBreak(dir) {
			return fmt.Errorf("cgi: root or follow %q: must not hold NUL, CR or LF", dir)
		}
	}
	if err := checkAppRoot(cfg); err != nil || !cfg.Unchecked {
		return err
	}
	return m.checkUnchecked(cfg)
}

func checkAppRoot(cfg Config) error {
	switch {
	case cfg.AppRoot == "":
		return nil
	case cfg.Root == "":
		return errors.New("cgi: app_root: means nothing without root, the same directory as it is called here")
	case cfg.Unchecked:
		return errors.New("cgi: app_root: means nothing while check_files is off, root is the application's path then")
	case cfg.KeepRootSymlink:
		return errors.New("cgi: app_root: means nothing while resolve_root_symlink is off (remove one of them)")
	case cfg.AppRoot[0] != '/' || path.Clean(cfg.AppRoot) != cfg.AppRoot || hasBreak(cfg.AppRoot):
		return fmt.Errorf("cgi: app_root %q: must be an absolute path like \"/app\"", cfg.AppRoot)
	}
	return nil
}

func (m *Mapper) checkUnchecked(cfg Config) error {
	if len(cfg.Follow) > 0 {
		return errors.New("cgi: follow: means nothing while check_files is off, which symbolic links there are is not known (remove it)")
	}
	if cfg.RootOf == nil && cfg.Root != "" && (!filepath.IsAbs(cfg.Root) || filepath.Clean(cfg.Root) != cfg.Root) {
		return fmt.Errorf("cgi: root %q: must be an absolute path like \"/app\", the application's, while check_files is off", cfg.Root)
	}
	for _, name := range m.index {
		if !m.isScriptName(name) {
			return fmt.Errorf("cgi: index %q: can stand for no directory while check_files is off, it is no script by its name", name)
		}
	}
	return nil
}

func cleanMount(mount string) (string, error) {
	trimmed := strings.TrimSuffix(mount, "/")
	switch {
	case trimmed == "":
		return "", nil
	case trimmed[0] != '/':
		return "", fmt.Errorf("cgi: mount %q: must start with \"/\"", mount)
	case path.Clean(trimmed) != trimmed || hasBreak(trimmed):
		return "", fmt.Errorf("cgi: mount %q: must be a plain path like \"/sandbox\"", mount)
	}
	return trimmed, nil
}

// belowMountOf returns p relative to the mount. p may be written as a whole path or relative
// to the mount.
func (m *Mapper) belowMountOf(p string) string {
	if rest, ok := strings.CutPrefix(p, m.mount); ok && strings.HasPrefix(rest, "/") {
		return rest
	}
	return p
}

func checkIndex(preset string, index, staticDirs []string) ([]string, error) {
	outside := slices.ContainsFunc(staticDirs, func(text string) bool { return strings.Contains(text, "=") })
	if preset == PresetApp && len(index) > 0 && !outside {
		return nil, errors.New("cgi: index: preset \"app\" has no files (remove it, or use preset \"php\")")
	}
	for _, name := range index {
		switch {
		case !fs.ValidPath(name) || name == "." || hasBreak(name):
			return nil, fmt.Errorf("cgi: index %q: must be a file name", name)
		case hasDot("/" + name):
			return nil, fmt.Errorf("cgi: index %q: can stand for no directory, what begins with a dot is neither run nor sent", name)
		}
	}
	if preset == PresetPHP && len(index) == 0 {
		return []string{"index.php"}, nil
	}
	return slices.Clone(index), nil
}

// checkVirtual returns the paths relative to the mount.
func (m *Mapper) checkVirtual(list []string) ([]string, error) {
	if len(list) > 0 && m.preset == PresetApp {
		return nil, errors.New("cgi: virtual: preset \"app\" has no files, all paths are the application's (remove it)")
	}
	paths := make([]string, len(list))
	for i, text := range list {
		p := m.belowMountOf(text)
		switch {
		case !strings.HasPrefix(p, "/") || path.Clean(p) != p || p == "/" || hasBreak(p):
			return nil, fmt.Errorf("cgi: virtual %q: must be a script's path like \"/ping\"", text)
		case strings.ContainsAny(p, "*?") || hasEscape(p):
			return nil, fmt.Errorf("cgi: virtual %q: can match nothing, it is no pattern, and holds neither a query nor escapes", text)
		case hasDot(p):
			return nil, fmt.Errorf("cgi: virtual %q: can match nothing, what begins with a dot is not run", text)
		case m.hide.Has(m.mount + p):
			return nil, fmt.Errorf("cgi: virtual %q: can match nothing, hide has it out of reach", text)
		}
		paths[i] = p
	}
	return paths, nil
}

// checkStatic returns which files may be sent.
func (m *Mapper) checkStatic(cfg Config) (s statics, err error) {
	if s.mode = cfg.Static; !slices.Contains([]string{"", StaticOff, StaticUsual, StaticAll}, s.mode) {
		return s, fmt.Errorf("cgi: static %q: must be %q, %q or %q", s.mode, StaticOff, StaticUsual, StaticAll)
	}
	if err := m.checkStaticTypes(&s, cfg.StaticTypes); err != nil {
		return s, err
	}
	if err := m.checkStaticDirs(&s, cfg.StaticDirs); err != nil {
		return s, err
	}
	switch more := len(s.types)+len(s.below) > 0; {
	case more && s.mode == StaticAll:
		return s, errors.New("cgi: static: is \"all\", and static_types and static_dirs say what is sent besides: there is nothing else")
	case (more || len(s.dirs) > 0) && s.mode == StaticOff:
		return s, errors.New("cgi: static: is \"off\", and static_types or static_dirs say what is sent")
	case s.mode != "":
	case m.preset == PresetApp || m.unchecked || cfg.Root == "":
		s.mode = StaticOff
	default:
		s.mode = StaticUsual
	}
	switch any := s.anyBelowRoot(); {
	case any && m.unchecked:
		return s, fmt.Errorf("cgi: %s: files below the root cannot be sent while check_files is off", cfg.staticKey())
	case any && cfg.Root == "":
		return s, fmt.Errorf("cgi: %s: there is no root with files to be sent (set root, or give static_dirs a directory: \"/img=/srv/img\")", cfg.staticKey())
	case !any && m.preset == PresetApp && len(cfg.Follow) > 0:
		return s, errors.New("cgi: follow: means nothing with preset \"app\", which looks for no files unless static, static_types or static_dirs say so (remove it, or use preset \"php\")")
	}
	return s, nil
}

// staticKey returns the first key that selects static files.
func (c Config) staticKey() string {
	switch {
	case c.Static != "":
		return "static"
	case len(c.StaticTypes) > 0:
		return "static_types"
	}
	return "static_dirs"
}

// checkIndexUse refuses an index that would be neither run nor sent.
func (m *Mapper) checkIndexUse() error {
	if m.preset != PresetPHP || m.unchecked || len(m.static.below) > 0 {
		return nil
	}
	for _, name := range m.index {
		if !hasPHPSuffix(name) && !m.static.allows("/"+name) {
			return fmt.Errorf("cgi: index %q: can stand for no directory, only .php is run, and files of this type are not sent (see static)", name)
		}
	}
	return nil
}

func (m *Mapper) checkStaticTypes(s *statics, list []string) error {
	for _, text := range list {
		ext := "." + strings.ToLower(strings.TrimPrefix(text, "."))
		switch {
		case ext == "." || strings.ContainsAny(ext[1:], "./*? ") || hasBreak(ext):
			return fmt.Errorf("cgi: static_types %q: want what follows the last dot of a name, such as \"zip\" (static_dirs is for all files of a directory)", text)
		case isBackup("x" + ext), m.isSource(ext):
			return fmt.Errorf("cgi: static_types %q: such files are never sent, they are scripts or copies of scripts", text)
		}
		if s.types == nil {
			s.types = make(map[string]struct{})
		}
		s.types[ext] = struct{}{}
	}
	return nil
}

func (m *Mapper) checkStaticDirs(s *statics, list []string) error {
	for _, text := range list {
		prefix, dir, outside := strings.Cut(text, "=")
		p, err := NewPrefixes("static_dirs", m.mount, []string{prefix})
		if err != nil {
			return err
		}
		prefix = p.list[0]
		switch {
		case strings.Contains(prefix, "*"):
			return fmt.Errorf("cgi: static_dirs %q: a directory has one path, without *", text)
		case outside && dir == "" || hasBreak(dir):
			return fmt.Errorf("cgi: static_dirs %q: want a directory after \"=\", as in \"/img=/srv/img\"", text)
		case outside && filepath.Clean(dir) == "/":
			return fmt.Errorf("cgi: static_dirs %q: is the whole machine, with files that nobody meant to be sent; name the directory", text)
		case m.hide.Has(prefix), m.hide.Has(m.mount + m.belowMountOf(prefix)):
			return fmt.Errorf("cgi: static_dirs %q: can match nothing, hide has it out of reach", text)
		case hasDot(prefix + "/"):
			return fmt.Errorf("cgi: static_dirs %q: can match nothing, what begins with a dot is not sent", text)
		case outside:
			s.dirs = append(s.dirs, staticDir{prefix: prefix, dir: dir})
		default:
			s.below = append(s.below, m.belowMountOf(prefix))
		}
	}
	return nil
}

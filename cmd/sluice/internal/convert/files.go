package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tomlfile"
)

const (
	maxFile       = 4 << 20  // bytes of one file
	maxFiles      = 1000     // files that include each other
	maxText       = 32 << 20 // bytes of all of them, each time that it is included
	maxDepth      = 16       // files within files
	maxDirectives = 100_000  // that snippets become
	maxTakenOver  = 300_000  // directives, and values of them, that hosts take over
	maxVariable   = 1 << 20  // bytes, or values
)

// files reads a file and those that it includes.
type files struct {
	main  string
	dir   string // of main
	count int
	bytes int64
	left  tomlfile.Problems // files that are not there
}

func newFiles(main string) *files { return &files{main: main, dir: filepath.Dir(main)} }

// read returns the text of a file.
func (f *files) read(path string) (string, error) {
	if f.count++; f.count > maxFiles {
		return "", fmt.Errorf("%s: more than %d files include each other", f.main, maxFiles)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s: is no file: name the file in which the configuration begins, such as nginx.conf", path)
	case info.Size() > maxFile || f.bytes+info.Size() > maxText:
		return "", fmt.Errorf("%s: has %d bytes, which is no configuration: want %d at most", path, info.Size(), maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	f.bytes += int64(len(text))
	if !utf8.Valid(text) {
		return "", fmt.Errorf("%s: is not UTF-8, which sluice.toml must be: convert it, for example by iconv", path)
	}
	return strings.TrimPrefix(string(text), "\ufeff"), nil
}

// include parses the files that a pattern of an include directive stands for. One that is not there is left
// out, and said.
func (f *files) include(d *directive, pattern string, depth int, parse func(path string, depth int) ([]*directive, error)) (all []*directive, err error) {
	if depth > maxDepth {
		return nil, d.problem("%s: files include each other more than %d deep", d, maxDepth)
	}
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(f.dir, pattern)
	}
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, d.problem("%s: is no pattern of files: %v", d, err)
	}
	if len(paths) == 0 && !strings.ContainsAny(pattern, "*?[") {
		f.left = append(f.left, d.problem("%s: there is no %s; what it has is not carried over", d, pattern))
	}
	slices.Sort(paths)
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			continue
		}
		more, err := parse(path, depth+1)
		if errors.Is(err, fs.ErrPermission) {
			return nil, d.problem("%s: %v", d, err)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

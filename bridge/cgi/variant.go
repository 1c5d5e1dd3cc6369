package cgi

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// File is an open static file.
type File struct {
	*os.File
	Info         fs.FileInfo // of the file that was asked for
	ContentType  string
	CacheControl string // "": nothing is said
	// ETag is the entity tag, a strong one, of what is sent.
	ETag string
	// Coding is the one that the file has on the disk: "gzip" if it is the FILE.gz beside the one that
	// was asked for. Then Size is its size.
	Coding string
	Size   int64
	Varies bool // other clients may get the file in another coding
}

// siblingOf are the endings of files that hold what another file does, in a coding.
var siblingOf = map[string]string{"br": ".br", "zstd": ".zst", "gzip": ".gz"}

// cacheRule says for how long files may be kept.
type cacheRule struct {
	pattern string // of the path, and of the query if there is a "?" in it
	value   string // of Cache-Control
}

// describe completes a file that was opened as name for r, which leads to at. It may be replaced by
// one beside it in which the same is compressed.
func (m *Mapper) describe(f *File, t *trees, name string, r *http.Request, at *place) {
	f.Size = f.Info.Size()
	f.ETag = entityTag(f.Info, "")
	f.CacheControl = m.static.cacheControl(at)
	codings := m.static.precompressed
	url := at.path
	if strings.HasSuffix(url, "/") { // an index was opened
		url = path.Join(url, path.Base(name))
	}
	f.Varies = len(codings) > 0
	for coding := Coding(r.Header, codings); coding != ""; coding = Coding(r.Header, codings) {
		if !m.hide.Has(url+siblingOf[coding]) && f.replace(t, name+siblingOf[coding], coding) {
			return
		}
		codings = slices.DeleteFunc(slices.Clone(codings), func(c string) bool { return c == coding })
	}
}

// replace has f be the file of that name, if it is there and holds what f does. One that is older
// was made from something else.
func (f *File) replace(t *trees, name, coding string) bool {
	sibling, err := t.open(name)
	if err != nil {
		return false
	}
	info, err := sibling.Stat()
	if err != nil || !info.Mode().IsRegular() || info.ModTime().Before(f.Info.ModTime()) {
		_ = sibling.Close() // nothing was written to it
		return false
	}
	_ = f.File.Close() // as above
	f.File, f.Coding, f.Size, f.ETag = sibling, coding, info.Size(), entityTag(info, "-"+coding)
	return true
}

func entityTag(info fs.FileInfo, suffix string) string {
	return `"` + strconv.FormatInt(info.ModTime().UnixNano(), 36) + "-" + strconv.FormatInt(info.Size(), 36) + suffix + `"`
}

// cacheControl returns the value of the first rule that matches.
func (s *statics) cacheControl(at *place) string {
	for _, rule := range s.cache {
		asked := at.path
		if strings.Contains(rule.pattern, "?") {
			asked += "?" + at.query
		}
		if Matches(rule.pattern, asked) {
			return rule.value
		}
	}
	return ""
}

// checkVariants checks how files are sent.
func (m *Mapper) checkVariants(s *statics, cfg Config) error {
	for _, text := range cfg.StaticCache {
		pattern, value, _ := strings.Cut(strings.TrimSpace(text), " ")
		value = strings.TrimSpace(value)
		switch {
		case !strings.HasPrefix(pattern, "/") && !strings.HasPrefix(pattern, "*") || hasEscape(pattern):
			return fmt.Errorf("cgi: static_cache %q: want PATTERN VALUE, such as \"/assets/* max-age=3600\" or \"*.css max-age=3600\"; paths are compared when they are decoded", text)
		case value == "" || hasBreak(value) || strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }):
			return fmt.Errorf("cgi: static_cache %q: want a value of Cache-Control behind the pattern, such as max-age=3600", text)
		}
		for _, before := range s.cache {
			if Matches(before.pattern, pattern) {
				return fmt.Errorf("cgi: static_cache %q: can match nothing, %q before it matches the same paths (put the more special one first)", text, before.pattern)
			}
		}
		s.cache = append(s.cache, cacheRule{pattern, value})
	}
	for i, coding := range cfg.StaticPrecompressed {
		switch {
		case siblingOf[coding] == "":
			return fmt.Errorf("cgi: static_precompressed %q: want br, zstd or gzip, for FILE.br, FILE.zst and FILE.gz", coding)
		case slices.Contains(cfg.StaticPrecompressed[:i], coding):
			return fmt.Errorf("cgi: static_precompressed %q: is there twice", coding)
		}
	}
	s.precompressed = slices.Clone(cfg.StaticPrecompressed)
	s.missing = cfg.StaticMissing == "404"
	switch {
	case cfg.StaticMissing != "" && cfg.StaticMissing != "pass" && !s.missing:
		return fmt.Errorf("cgi: static_missing %q: must be \"pass\" or \"404\"", cfg.StaticMissing)
	case s.missing && len(s.below)+len(s.dirs) == 0:
		return errors.New("cgi: static_missing: means nothing without static_dirs, below which it holds")
	case !s.anyBelowRoot() && len(s.dirs) == 0 && len(s.cache) > 0:
		return errors.New("cgi: static_cache: no files are sent (see static and static_dirs)")
	case !s.anyBelowRoot() && len(s.dirs) == 0 && len(s.precompressed) > 0:
		return errors.New("cgi: static_precompressed: no files are sent (see static and static_dirs)")
	}
	return nil
}

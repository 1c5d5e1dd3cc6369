package cgi

import (
	"net/http"
	"path"
	"strings"
)

// OtherPaths returns the paths that r leads to, besides the one that it asks for: that of a rewrite, and that
// of the script which is run or the file which is sent, where it is another: an index, the fallback, or what
// FILE.gz is the compressed form of. What may not be seen by one of these paths must not be seen by another.
func (m *Mapper) OtherPaths(r *http.Request) (paths []string) {
	at, err := m.locate(r)
	if err != nil {
		return nil // it is refused, or redirected
	}
	if at.rewritten {
		paths = append(paths, at.path)
	}
	if v := ReceivedOf(r); v != nil {
		if v.document != "" {
			paths = append(paths, v.document)
		}
		return paths
	}
	if p := m.answering(r, at.path); p != "" && p != path.Clean(at.path) {
		paths = append(paths, p)
	}
	if p, ok := m.uncompressed(at.path); ok {
		paths = append(paths, p)
	}
	return paths
}

// answering returns the path of the script or the file that answers for the clean path p, "" if there is none.
func (m *Mapper) answering(r *http.Request, p string) string {
	if t, name := m.findStaticDir(p); t != nil {
		_ = t.release() // an error of closing concerns no request
		if strings.HasSuffix(p, "/") {
			return path.Join(p, path.Base(name))
		}
		return path.Clean(p)
	}
	rest, err := m.belowMount(p)
	if err != nil || m.preset == PresetApp || m.dir == "" && m.rootOf == nil {
		return ""
	}
	t, err := m.resolve(r, rest)
	if err == nil {
		return m.mount + t.script + t.pathInfo
	}
	if refused, ok := err.(*RequestError); ok && refused.File != "" {
		return m.mount + "/" + refused.File
	}
	return ""
}

// hides reports whether a path is out of reach, or is that of the compressed form of a file that is.
func (m *Mapper) hides(p string) bool {
	if m.hide.Has(p) {
		return true
	}
	plain, ok := m.uncompressed(p)
	return ok && m.hide.Has(plain)
}

// uncompressed returns the path of the file of which the one at p holds the compressed form, by its name.
func (m *Mapper) uncompressed(p string) (plain string, ok bool) {
	for _, coding := range m.static.precompressed {
		if plain, ok = strings.CutSuffix(p, siblingOf[coding]); ok {
			return plain, true
		}
	}
	return "", false
}

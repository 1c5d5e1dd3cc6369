package cgi

import (
	"errors"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// StaticFile returns the name of the file below Root that r requests, if it may be sent as it
// is: it exists; Static, StaticTypes or StaticDirs include it; it is neither a script nor the
// source or a backup of one; and no element of its name starts with a dot, except
// /.well-known/.
func (m *Mapper) StaticFile(r *http.Request) (name string, ok bool) {
	at, err := m.locate(r)
	if err != nil {
		return "", false
	}
	t, name := m.findStatic(r, at.path)
	if t == nil {
		return "", false
	}
	_ = t.release()
	return name, true
}

// OpenStatic opens the file that r requests, below Root or in a directory of StaticDirs, if it
// may be sent as it is. If there is none, it returns nil and no error. It opens the file that it
// has checked, even if the root is switched meanwhile.
func (m *Mapper) OpenStatic(r *http.Request) (*File, error) {
	at, err := m.locate(r)
	if err != nil {
		return nil, nil // Vars reports it
	}
	t, name := m.findStaticDir(at.path)
	if t == nil {
		t, name = m.findStatic(r, at.path)
	}
	if t == nil {
		return nil, nil
	}
	defer t.release()
	f, err := m.openStatic(t, name)
	switch {
	case notExist(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	m.describe(f, t, name, r, &at)
	return f, nil
}

func (m *Mapper) openStatic(t *trees, name string) (*File, error) {
	f, err := t.open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || m.preset == PresetCGI && executable(info)) {
		err = fs.ErrNotExist // it was replaced after the check
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &File{File: f, Info: info, ContentType: contentType(name)}, nil
}

// findStatic returns the name of the file below the root for the clean path p, and the
// directories, which the caller must release. They are nil if there is no file.
func (m *Mapper) findStatic(r *http.Request, p string) (t *trees, name string) {
	if m.root == nil && m.roots == nil || !m.static.anyBelowRoot() {
		return nil, ""
	}
	rest, err := m.belowMount(p)
	if err != nil || !strings.HasSuffix(rest, "/") && !m.static.allows(rest) { // without access to the disk
		return nil, ""
	}
	s, err := m.search(r)
	if err != nil {
		return nil, "" // Vars reports it
	}
	if name = s.staticFile(rest); name == "" {
		s.close()
		return nil, ""
	}
	return s.trees, name
}

// staticFile returns the name of the file for rest, "" if there is none that may be sent.
func (s *search) staticFile(rest string) string {
	err := s.whyNotRun(rest)
	if refused, ok := errors.AsType[*RequestError](err); ok {
		return refused.File
	}
	return ""
}

// whyNotRun returns why rest is not a script to run, nil if it is one.
func (s *search) whyNotRun(rest string) error {
	if s.preset != PresetApp {
		_, err := s.resolve(rest)
		return err
	}
	info, err := s.stat(rest)
	if isNothingThere(err) && s.renew() {
		info, err = s.stat(rest)
	}
	if err != nil {
		return err
	}
	return s.notScript(rest, info)
}

// findStaticDir is findStatic for the directories of StaticDirs outside the root.
func (m *Mapper) findStaticDir(p string) (t *trees, name string) {
	if len(m.static.dirs) == 0 || m.hides(p) {
		return nil, ""
	}
	clean := path.Clean(p)
	for i := range m.static.dirs {
		d := &m.static.dirs[i]
		rest, ok := d.rest(m.mount, clean)
		if !ok || !m.maySend(rest) {
			continue
		}
		t := d.root.acquire()
		if name, found := m.fileIn(t, clean, rest, strings.HasSuffix(p, "/")); found {
			return t, name
		}
		before := t
		if t = d.root.renew(t); t != before {
			if name, found := m.fileIn(t, clean, rest, strings.HasSuffix(p, "/")); found {
				return t, name
			}
		}
		_ = t.release()
	}
	return nil, ""
}

// maySend reports whether the name of a file or of a directory permits sending what is there.
func (m *Mapper) maySend(name string) bool { return name == "." || m.neverSent("/"+name) == nil }

// rest returns the name of the clean path p in the directory.
func (d *staticDir) rest(mount, p string) (rest string, ok bool) {
	if rest, ok = below(d.prefix, p); !ok {
		rest, ok = below(mount+d.prefix, p)
	}
	return rest, ok
}

// fileIn returns the name of the regular file for rest, the name of the clean path p. For a directory that
// is one of its index files that is not hidden.
func (m *Mapper) fileIn(t *trees, p, rest string, directory bool) (name string, ok bool) {
	if !directory {
		info, err := t.stat(rest)
		return rest, err == nil && info.Mode().IsRegular()
	}
	for _, index := range m.index {
		if name = path.Join(rest, index); !m.maySend(name) || m.hides(path.Join(p, index)) {
			continue
		}
		if info, err := t.stat(name); err == nil && info.Mode().IsRegular() {
			return name, true
		}
	}
	return "", false
}

// withoutFile returns the answer for the path p, which is rest below the mount, if it is one of files
// alone and none was sent: a directory of them lacks its slash, or nothing else is to answer. Files
// below the root of scripts are the affair of resolve.
func (m *Mapper) withoutFile(r *http.Request, p, rest string) error {
	clean := path.Clean(p)
	missing := m.preset == PresetApp && m.static.ends(rest)
	for i := range m.static.dirs {
		d := &m.static.dirs[i]
		name, ok := d.rest(m.mount, clean)
		if !ok {
			continue
		}
		missing = missing || m.static.missing
		if len(m.index) == 0 || strings.HasSuffix(p, "/") || !m.maySend(name) {
			continue
		}
		t := d.root.acquire()
		_, isDirectory := m.fileIn(t, clean, name, true)
		_ = t.release() // an error of closing concerns no request
		if isDirectory {
			return slashMissing(r, "", strings.TrimPrefix(clean, "/"))
		}
	}
	if missing {
		return notFound("%.200q: there is no such file, and static_missing is 404", rest)
	}
	return nil
}

package cgi

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
)

// Unused returns an error for each setting that has no effect with the present directories. The
// error names the key and the reason. Files may be added later, so these errors are for a log,
// not a reason to refuse the configuration.
func (m *Mapper) Unused() (list []error) {
	if m.root == nil {
		return nil
	}
	if m.preset == PresetApp {
		if m.static.anyBelowRoot() {
			return nil
		}
		return []error{fmt.Errorf("cgi: root %q: preset \"app\" neither runs nor sends files, the application is only told of the directory (for scripts and files there, use preset \"php\" or \"cgi\", or set static)", m.root.Dir())}
	}
	t := m.root.acquire()
	defer t.release()
	if t.root().err != nil {
		return nil // this has been reported, and would cause further errors
	}
	for _, f := range t.list[1:] {
		if _, within := below(t.root().real, f.real); within && f.err == nil {
			list = append(list, fmt.Errorf("cgi: follow %q: is below the root %s, where symbolic links may lead anyway", f.dir, m.root.Dir()))
		}
	}
	if script := m.fallback.script; script != "" && !m.Leads(script) {
		list = append(list, fmt.Errorf("cgi: fallback %q: there is no such script below %s", script, m.root.Dir()))
	}
	for _, script := range m.scripts {
		if !strings.Contains(script, "*") && !m.isThere(script) {
			list = append(list, fmt.Errorf("cgi: scripts %q: there is no such script below %s", script, m.root.Dir()))
		}
	}
	for _, h := range m.hide.list {
		if strings.Contains(h, "*") {
			continue // of any name
		}
		rest, mounted := strings.CutPrefix(h, m.mount)
		if m.Leads(h) || mounted && m.Leads(rest) {
			continue
		}
		list = append(list, fmt.Errorf("cgi: hide %q: there is nothing at %s (is it misspelt?)", h, filepath.Join(m.root.Dir(), rest)))
	}
	return list
}

// isThere reports whether there is a file at the path p below the root.
func (m *Mapper) isThere(p string) bool {
	t := m.root.acquire()
	defer t.release()
	_, err := t.stat(fileName(p))
	return !notExist(err)
}

// Leads reports whether path, relative to the mount, leads to something: an application, a
// script, a directory, another file, or the fallback. It returns true if files are unchecked or
// each request has its own root.
func (m *Mapper) Leads(path string) bool {
	if m.preset == PresetApp || m.root == nil {
		return true
	}
	s := search{Mapper: m, r: &http.Request{URL: new(url.URL)}, dir: m.dir, root: m.root, trees: m.root.acquire()}
	defer s.close()
	if s.fallback.script != "" && path != s.fallback.script && s.runs(s.fallback.script) {
		return true
	}
	if _, err := s.find(path); !isNothingThere(err) {
		return true
	}
	_, err := s.stat(path) // a directory without an index
	return err == nil
}

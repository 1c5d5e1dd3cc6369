package cgi

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Unused returns what of the configuration has no effect as the directories are now, each
// as an error that names the key and says why. Files may come later, so these are for a
// log, not a reason to refuse the configuration.
func (m *Mapper) Unused() (list []error) {
	if m.root == nil {
		return nil
	}
	if m.preset == PresetApp {
		return []error{fmt.Errorf("cgi: root %q: preset \"app\" neither runs nor sends files, the application is only told of the directory (for scripts and files there, use preset \"php\" or \"cgi\")", m.root.Dir())}
	}
	root := m.root.trees[0].real
	for _, t := range m.root.trees[1:] {
		if _, within := below(root, t.real); within {
			list = append(list, fmt.Errorf("cgi: follow %q: is below the root %s, where symbolic links may lead anyway", t.dir, m.root.Dir()))
		}
	}
	if m.fallback != "" && !m.Leads(m.fallback) {
		list = append(list, fmt.Errorf("cgi: fallback %q: there is no such script below %s", m.fallback, m.root.Dir()))
	}
	for _, h := range m.hide.list {
		rest, mounted := strings.CutPrefix(h, m.mount)
		if m.Leads(h) || mounted && m.Leads(rest) {
			continue
		}
		list = append(list, fmt.Errorf("cgi: hide %q: there is nothing at %s (is it misspelt?)", h, filepath.Join(m.root.Dir(), rest)))
	}
	return list
}

// Leads reports whether a path below the mount leads to something: an application, a
// script, a directory, another file, or the fallback.
func (m *Mapper) Leads(path string) bool {
	if m.preset == PresetApp || m.fallback != "" && path != m.fallback && m.Leads(m.fallback) {
		return true
	}
	_, err := m.find(path, "")
	refused, ok := errors.AsType[*RequestError](err)
	if !ok || !refused.nothing {
		return true
	}
	_, err = m.root.Stat(fileName(path)) // a directory without an index
	return err == nil
}

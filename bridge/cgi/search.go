package cgi

import "net/http"

// search looks files up for one request, in the directories of one release.
type search struct {
	*Mapper
	r     *http.Request
	dir   string // the root's absolute path, as configured; "" if there is none
	root  *Root  // nil: no files are looked at
	trees *trees // root's, held until close
}

func (m *Mapper) search(r *http.Request) (s search, err error) {
	s = search{Mapper: m, r: r, dir: m.dir, root: m.root}
	switch {
	case m.rootOf != nil:
		if s.dir, err = m.rootOf(r); err == nil {
			err = checkRequestRoot(s.dir)
		}
		if err == nil && !m.unchecked {
			s.root, s.trees, err = m.roots.acquire(s.dir)
		}
	case m.root != nil:
		s.trees = m.root.acquire()
	}
	return s, err
}

func (s *search) close() {
	if s.trees != nil {
		_ = s.trees.release() // an error of closing concerns no request
	}
}

// renew reports whether the directories have been replaced, and continues in the new ones.
func (s *search) renew() bool {
	if s.root == nil {
		return false
	}
	before := s.trees
	s.trees = s.root.renew(before)
	return s.trees != before
}

// documentRoot returns DOCUMENT_ROOT.
func (s *search) documentRoot() string {
	switch {
	case s.appRoot != "":
		return s.appRoot
	case s.trees == nil || s.keepRootSymlink || s.trees.root().err != nil:
		return s.dir
	}
	return s.trees.root().real
}

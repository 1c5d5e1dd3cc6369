package cgi

import "net/http"

// search is one request's look at the files, in the directories as they are at one moment.
type search struct {
	*Mapper
	r     *http.Request
	dir   string // the root's absolute path, as configured; "" if there is none
	root  *Root  // nil: no files are looked at
	trees *trees // root's, held until end
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

func (s *search) end() {
	if s.trees != nil {
		_ = s.trees.release() // nobody could do anything about it
	}
}

// renew reports whether the directories are others now. Then it goes on in those.
func (s *search) renew() bool {
	if s.root == nil {
		return false
	}
	before := s.trees
	s.trees = s.root.renew(before)
	return s.trees != before
}

// documentRoot is what the application is told that the root is.
func (s *search) documentRoot() string {
	switch {
	case s.appRoot != "":
		return s.appRoot
	case s.trees == nil || s.keepRootSymlink || s.trees.root().err != nil:
		return s.dir
	}
	return s.trees.root().real
}

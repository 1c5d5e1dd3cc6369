package cgi

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// maxRoots is how many roots of one Mapper are open at the same time, if each request has its
// own. The least recently used one is closed for another.
const maxRoots = 256

// roots holds the open roots of a Mapper whose root depends on the request, by their absolute
// paths.
type roots struct {
	follow []string

	mu     sync.RWMutex
	open   map[string]*openRoot
	closed bool

	uses atomic.Uint64 // a clock that advances with each use
}

type openRoot struct {
	*Root
	used atomic.Uint64
}

func newRoots(follow []string) *roots {
	return &roots{follow: follow, open: make(map[string]*openRoot)}
}

// acquire returns the root at dir and its directories, which the caller must release. A root
// that does not exist is not stored: the client may have chosen dir.
func (r *roots) acquire(dir string) (*Root, *trees, error) {
	if root, t := r.find(dir); root != nil {
		if root.staleness.Load() == due {
			t = root.renew(t)
		}
		return root, t, nil
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, nil, rootError(dir, err)
	}
	root, err := newRoot("root", dir, r.follow, nil)
	if err != nil {
		return nil, nil, err
	}
	if err := root.current.Load().root().err; err != nil {
		_ = root.Close() // only directories to follow are open
		return nil, nil, rootError(dir, err)
	}
	return r.add(dir, root)
}

func rootError(dir string, err error) error {
	switch {
	case notExist(err):
		return nothingAt("there is no root %.200q", dir)
	case errors.Is(err, fs.ErrPermission):
		return &RequestError{Status: http.StatusForbidden, Reason: "the root may not be looked at: " + err.Error()}
	}
	return err
}

func (r *roots) find(dir string) (*Root, *trees) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	o := r.open[dir]
	if o == nil {
		return nil, nil
	}
	o.used.Store(r.uses.Add(1))
	return o.Root, o.hold() // before evict can close it
}

// add stores root, unless another request has opened the same one meanwhile.
func (r *roots) add(dir string, root *Root) (*Root, *trees, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, nil, errors.Join(fs.ErrClosed, root.Close())
	}
	o := r.open[dir]
	switch {
	case o != nil:
		_ = root.Close()
	default:
		if len(r.open) >= maxRoots {
			r.evict()
		}
		o = &openRoot{Root: root}
		r.open[dir] = o
	}
	o.used.Store(r.uses.Add(1))
	return o.Root, o.hold(), nil
}

// evict closes the least recently used root. r.mu is held.
func (r *roots) evict() {
	oldest := ""
	for dir, o := range r.open {
		if oldest == "" || o.used.Load() < r.open[oldest].used.Load() {
			oldest = dir
		}
	}
	_ = r.open[oldest].Close() // its last user closes the directories
	delete(r.open, oldest)
}

func (r *roots) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	var errs []error
	for dir, o := range r.open {
		errs = append(errs, o.Close())
		delete(r.open, dir)
	}
	return errors.Join(errs...)
}

// checkRequestRoot refuses a path that is not clean: the client may have chosen a part of
// it.
func checkRequestRoot(dir string) error {
	if !filepath.IsAbs(dir) || path.Clean(dir) != dir || dir == "/" || hasBreak(dir) {
		return notFound("the root of the request is %.200q: must be an absolute path that does not climb", dir)
	}
	return nil
}

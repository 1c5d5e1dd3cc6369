package cgi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Root looks its directories up again when it is used refreshAfter or more after the last
// lookup, or, if a name is not found, refreshAfterMiss after it. A directory that has vanished is
// used for keepMissingFor after it was last seen: "ln -sfn" removes a symlink before it creates
// the new one.
const (
	refreshAfter     = 100 * time.Millisecond
	refreshAfterMiss = 10 * time.Millisecond
	keepMissingFor   = time.Second
)

// The values of Root.staleness.
const (
	fresh = iota
	stale // may be used for a name that is found
	due   // must be refreshed before use
)

// Root is a directory tree. No name leads out of it, except through symlinks into the
// directories to follow. If the path of the Root is a symlink to a release and is switched, the
// Root uses the new release a moment later; requests that have begun with the old release keep
// it. A Root is safe for concurrent use.
type Root struct {
	key    string   // the setting that dir belongs to; errors start with it
	dir    string   // absolute, as configured
	follow []string // absolute, as configured
	notify func(RootChange)

	current   atomic.Pointer[trees]
	staleness atomic.Int32 // of current: fresh, stale or due
	timer     *time.Timer  // advances staleness, so that requests need not read the clock

	mu     sync.Mutex // held during a lookup
	closed bool
	seen   time.Time // when all directories were last found
}

// RootChange reports that one of the directories of a Root was replaced by another one, is
// missing, or is back.
type RootChange struct {
	Key  string // "root", "follow" or "static_dirs"
	Dir  string // as configured
	Real string // the directory that Dir leads to now, without symlinks; "" if it is missing
	Err  error  // why it is missing; nil if it is not
}

// OpenRoot opens dir and the directories that symlinks below it may lead to. All of them must
// exist now; later they may vanish and come back.
func OpenRoot(dir string, follow []string) (*Root, error) {
	r, err := newRoot("root", dir, follow, nil)
	if err != nil {
		return nil, err
	}
	if err := r.current.Load().failure(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// newRoot is OpenRoot for directories that need not exist yet. notify, if it is not nil, is
// called for changes and missing directories. Errors about dir start with key.
func newRoot(key, dir string, follow []string, notify func(RootChange)) (*Root, error) {
	r := &Root{key: key, follow: make([]string, len(follow)), notify: notify, seen: time.Now()}
	var err error
	if r.dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("cgi: %s %q: %w", key, dir, err)
	}
	for i, f := range follow {
		if r.follow[i], err = filepath.Abs(f); err != nil {
			return nil, fmt.Errorf("cgi: follow %q: %w", f, err)
		}
	}
	t := openTrees(r.key, r.dir, r.follow)
	r.current.Store(t)
	r.mu.Lock() // against expire
	r.timer = time.AfterFunc(refreshAfterMiss, r.expire)
	r.mu.Unlock()
	for i := range t.list {
		if t.list[i].err != nil {
			r.report(&t.list[i])
		}
	}
	return r, nil
}

// Dir is the root's absolute path, as configured: symlinks in it are kept.
func (r *Root) Dir() string { return r.dir }

// Close closes the directories after their last use has ended. It may be called again.
func (r *Root) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.timer.Stop()
	return r.current.Swap(newTrees(tree{err: fs.ErrClosed})).release()
}

// Stat returns the FileInfo of the file that name leads to, symlinks followed. name is relative,
// slash-separated and clean; "." is the root. Errors are fs.ErrNotExist, fs.ErrPermission,
// ErrOutsideRoot, or the system's.
func (r *Root) Stat(name string) (info fs.FileInfo, err error) {
	err = r.use(func(t *trees) error {
		info, err = t.stat(name)
		return err
	})
	return info, err
}

// Open opens a regular file or a directory for reading. Other files are fs.ErrInvalid, because
// opening a FIFO would block. name and errors are as in Stat.
func (r *Root) Open(name string) (file *os.File, err error) {
	err = r.use(func(t *trees) error {
		file, err = t.open(name)
		return err
	})
	return file, err
}

// check returns why one of the directories is missing now, nil if none is.
func (r *Root) check() error {
	t := r.hold()
	defer t.release()
	if t.same() {
		return t.failure()
	}
	now := openTrees(r.key, r.dir, r.follow)
	defer now.release()
	return now.failure()
}

// use calls f with the directories, and a second time if f does not find its name and the
// directories have been replaced.
func (r *Root) use(f func(*trees) error) error {
	t := r.acquire()
	err := f(t)
	if notExist(err) {
		if next := r.renew(t); next != t {
			t, err = next, f(next)
		}
	}
	_ = t.release() // an error of closing concerns no request
	return err
}

// acquire returns the directories, refreshed if due. The caller must release them.
func (r *Root) acquire() *trees {
	if r.staleness.Load() == due {
		r.refresh()
	}
	return r.hold()
}

// hold returns the current directories. The caller must release them.
func (r *Root) hold() *trees {
	for {
		if t := r.current.Load(); t.hold() {
			return t
		}
	}
}

// renew exchanges t, which does not have a name, for the current directories. The caller must
// release them in place of t. They may be t itself.
func (r *Root) renew(t *trees) *trees {
	if r.staleness.Load() != fresh {
		r.refresh()
	}
	next := r.hold()
	if next == t || next.root().err == fs.ErrClosed { // roots has evicted this Root
		_ = next.release()
		return t
	}
	_ = t.release()
	return next
}

// expire advances staleness.
func (r *Root) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
	case r.staleness.CompareAndSwap(fresh, stale):
		r.timer.Reset(refreshAfter - refreshAfterMiss)
	default:
		r.staleness.Store(due)
	}
}

// refresh looks the directories up again. Concurrent callers return at once and use the current
// ones.
func (r *Root) refresh() {
	if !r.mu.TryLock() {
		return
	}
	old, next := r.reopen()
	if r.staleness.Store(fresh); !r.closed {
		r.timer.Reset(refreshAfterMiss)
	}
	r.mu.Unlock()
	for i := range next.list {
		if !next.list[i].leadsLike(&old.list[i]) {
			r.report(&next.list[i])
		}
	}
}

// reopen opens the directories again if they have changed. It returns the previous ones and the
// current ones. r.mu is held.
func (r *Root) reopen() (old, next *trees) {
	old = r.current.Load()
	if r.closed || old.same() {
		r.seen = time.Now()
		return old, old
	}
	next = openTrees(r.key, r.dir, r.follow)
	if err := next.lost(old); err != nil && r.keepsOpen(err) {
		_ = next.release()
		return old, old
	}
	r.seen = time.Now()
	r.current.Store(next)
	_ = old.release() // their last user closes them
	return old, next
}

// keepsOpen reports whether the current directories stay in use although one of them cannot be
// opened now, because of err.
func (r *Root) keepsOpen(err error) bool {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM) {
		return true // this says nothing about the directory
	}
	return time.Since(r.seen) < keepMissingFor
}

func (r *Root) report(t *tree) {
	if r.notify != nil {
		r.notify(RootChange{Key: t.key, Dir: t.dir, Real: t.real, Err: t.err})
	}
}

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

// The directories of a Root are looked up again when it is used and lookEvery has passed
// since they last were; when a name is not found, lookAfterMiss is enough. One that is not
// there is used on for goneAfter since it was last seen: "ln -sfn" removes a symlink before
// it makes the new one.
const (
	lookEvery     = 100 * time.Millisecond
	lookAfterMiss = 10 * time.Millisecond
	goneAfter     = time.Second
)

// The values of Root.age.
const (
	fresh = iota
	stale // good enough for a name that is found
	due   // to be looked up before the directories are used
)

// Root is a directory tree that nothing leads out of, except symlinks into the
// directories it was told to follow. It is the directory that its path leads to now: if
// that is a symlink to a release and is switched, the new release is used a moment later,
// and the old one by those requests alone that have begun with it. Safe for concurrent
// use.
type Root struct {
	key    string   // what an error about dir begins with
	dir    string   // absolute, as configured
	follow []string // likewise
	notify func(RootChange)

	current atomic.Pointer[trees]
	age     atomic.Int32 // of what is known of them: fresh, after lookAfterMiss, or due, after lookEvery
	timer   *time.Timer  // makes it older, so that requests need not ask for the time

	mu     sync.Mutex // held while the directories are looked up
	closed bool
	seen   time.Time // when those that are open were last found where they belong
}

// RootChange says that one of the directories of a Root is another one than before, is not
// there, or is back.
type RootChange struct {
	Key  string // "root", "follow" or "static_dirs"
	Dir  string // as configured
	Real string // the directory that it leads to now, without symlinks; "" if there is none
	Err  error  // why there is none; nil if there is one
}

// OpenRoot opens dir and the directories that symlinks below it may lead to. All of them
// must be there; later they may go and come back.
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

// newRoot is OpenRoot for directories that need not be there yet. notify, if it is not
// nil, is told of what changes, and of directories that are not there. key is what errors
// about dir begin with.
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
	r.mu.Lock() // against grow
	r.timer = time.AfterFunc(lookAfterMiss, r.grow)
	r.mu.Unlock()
	for i := range t.list {
		if t.list[i].err != nil {
			r.tell(&t.list[i])
		}
	}
	return r, nil
}

// Dir is the root's absolute path, as configured: symlinks in it are kept.
func (r *Root) Dir() string { return r.dir }

// Close closes the directories when nobody uses them any more. It may be called again.
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

// Stat describes the file that name leads to, symlinks followed. name is
// relative, slash-separated and clean, "." is the root. Errors are
// fs.ErrNotExist, fs.ErrPermission, ErrOutsideRoot, or the system's.
func (r *Root) Stat(name string) (info fs.FileInfo, err error) {
	err = r.use(func(t *trees) error {
		info, err = t.stat(name)
		return err
	})
	return info, err
}

// Open opens a regular file or a directory for reading. Other files (a FIFO
// would block whoever opens it) are fs.ErrInvalid. name and errors as in Stat.
func (r *Root) Open(name string) (file *os.File, err error) {
	err = r.use(func(t *trees) error {
		file, err = t.open(name)
		return err
	})
	return file, err
}

// use has f use the directories, and again if it does not find what it looks for and the
// directories are others now.
func (r *Root) use(f func(*trees) error) error {
	t := r.acquire()
	err := f(t)
	if notExist(err) {
		if next := r.renew(t); next != t {
			t, err = next, f(next)
		}
	}
	_ = t.release() // what is wrong with a directory that is closed is nobody's concern
	return err
}

// acquire returns the directories as they are, to be released.
func (r *Root) acquire() *trees {
	if r.age.Load() == due {
		r.look()
	}
	return r.hold()
}

// hold returns the directories there are, to be released.
func (r *Root) hold() *trees {
	for {
		if t := r.current.Load(); t.hold() {
			return t
		}
	}
}

// renew returns what has taken the place of t, to be released instead of it: it may be t
// itself. It is for a name that t does not have.
func (r *Root) renew(t *trees) *trees {
	if r.age.Load() != fresh {
		r.look()
	}
	next := r.hold()
	if next == t || next.root().err == fs.ErrClosed { // the root of some requests was closed for that of others
		_ = next.release()
		return t
	}
	_ = t.release()
	return next
}

// grow makes what is known older.
func (r *Root) grow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
	case r.age.CompareAndSwap(fresh, stale):
		r.timer.Reset(lookEvery - lookAfterMiss)
	default:
		r.age.Store(due)
	}
}

// look finds out where the directories are now. While somebody does, others go on with
// those there are.
func (r *Root) look() {
	if !r.mu.TryLock() {
		return
	}
	old, next := r.update()
	if r.age.Store(fresh); !r.closed {
		r.timer.Reset(lookAfterMiss)
	}
	r.mu.Unlock()
	for i := range next.list {
		if !next.list[i].leadsLike(&old.list[i]) {
			r.tell(&next.list[i])
		}
	}
}

// update opens the directories anew if they are not the same any more. It returns those
// there were and those there are. r.mu is held.
func (r *Root) update() (old, next *trees) {
	old = r.current.Load()
	if r.closed || old.same() {
		r.seen = time.Now()
		return old, old
	}
	next = openTrees(r.key, r.dir, r.follow)
	if err := next.lost(old); err != nil && r.keeps(err) {
		_ = next.release()
		return old, old
	}
	r.seen = time.Now()
	r.current.Store(next)
	_ = old.release() // the last who uses them closes them
	return old, next
}

// keeps reports whether the directories there are, of which one cannot be opened now, are
// used on.
func (r *Root) keeps(err error) bool {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM) {
		return true // it is not the directory's fault
	}
	return time.Since(r.seen) < goneAfter
}

func (r *Root) tell(t *tree) {
	if r.notify != nil {
		r.notify(RootChange{Key: t.key, Dir: t.dir, Real: t.real, Err: t.err})
	}
}

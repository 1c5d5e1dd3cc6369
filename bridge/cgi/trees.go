package cgi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
)

// ErrOutsideRoot reports a name that a symlink leads out of the root, and not into a directory
// to follow. The error that wraps it says where the symlink leads.
var ErrOutsideRoot = errors.New("leads outside the root")

// maxLinks is how many symlinks one name may pass through, as in Linux.
const maxLinks = 40

// trees is the directories of a Root, opened at one moment. They are closed when the Root and
// the last request that uses them have released them.
type trees struct {
	list []tree // the root, then the directories to follow
	refs atomic.Int32
}

// tree is one directory. Names are resolved by os.Root, which no name leads out of.
type tree struct {
	key  string // the setting that dir belongs to; err starts with it
	dir  string // absolute, as configured
	real string // absolute, without symlinks; "" if it cannot be opened
	info fs.FileInfo
	root *os.Root // nil if it cannot be opened
	err  error    // why it cannot be opened
}

func newTrees(list ...tree) *trees {
	t := &trees{list: list}
	t.refs.Store(1)
	return t
}

// openTrees opens those of the directories that exist.
func openTrees(key, dir string, follow []string) *trees {
	list := []tree{openTree(key, dir)}
	for _, f := range follow {
		list = append(list, openTree("follow", f))
	}
	return newTrees(list...)
}

func openTree(key, dir string) tree {
	t := tree{key: key, dir: dir}
	if err := t.open(); err != nil {
		t.real, t.err = "", fmt.Errorf("cgi: %s: %w", key, err)
	}
	return t
}

func (t *tree) open() (err error) {
	if t.real, err = filepath.EvalSymlinks(t.dir); err != nil {
		return err
	}
	if hasBreak(t.real) {
		return fmt.Errorf("%q leads to %q: %w: must not hold NUL, CR or LF", t.dir, t.real, fs.ErrInvalid)
	}
	root, err := os.OpenRoot(t.real)
	if err != nil {
		return err
	}
	if t.info, err = root.Stat("."); err != nil {
		return errors.Join(err, root.Close())
	}
	t.root = root
	return nil
}

// same reports whether the path still leads to the same directory.
func (t *tree) same() bool {
	real, err := filepath.EvalSymlinks(t.dir)
	if err != nil || t.root == nil {
		return err != nil && t.root == nil
	}
	info, err := os.Stat(real)
	return err == nil && real == t.real && os.SameFile(info, t.info)
}

// leadsLike reports whether t and other, opened at the same path, are the same directory or
// are both missing.
func (t *tree) leadsLike(other *tree) bool {
	return t.real == other.real && (t.err == nil) == (other.err == nil)
}

// same reports whether all paths still lead to the same directories.
func (t *trees) same() bool {
	for i := range t.list {
		if !t.list[i].same() {
			return false
		}
	}
	return true
}

// failure returns why one of the directories is missing, nil if none is.
func (t *trees) failure() error {
	for i := range t.list {
		if err := t.list[i].err; err != nil {
			return err
		}
	}
	return nil
}

// lost returns why a directory is missing that was there before, nil if none is.
func (t *trees) lost(before *trees) error {
	for i := range t.list {
		if err := t.list[i].err; err != nil && before.list[i].err == nil {
			return err
		}
	}
	return nil
}

// root returns the tree in which names are looked up.
func (t *trees) root() *tree { return &t.list[0] }

// hold keeps the directories open until release. It returns false if they are closed already.
func (t *trees) hold() bool {
	for {
		n := t.refs.Load()
		if n == 0 {
			return false
		}
		if t.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (t *trees) release() error {
	if t.refs.Add(-1) > 0 {
		return nil
	}
	var errs []error
	for _, tree := range t.list {
		if tree.root != nil {
			errs = append(errs, tree.root.Close())
		}
	}
	return errors.Join(errs...)
}

func (t *trees) stat(name string) (fs.FileInfo, error) {
	return withTree(t, "stat", name, (*os.Root).Stat)
}

func (t *trees) open(name string) (*os.File, error) {
	return withTree(t, "open", name, openFile)
}

func openFile(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = fmt.Errorf("%w: neither a file nor a directory", fs.ErrInvalid)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// withTree calls op with the tree and the name there that name leads to.
func withTree[T any](t *trees, verb, name string, op func(*os.Root, string) (T, error)) (T, error) {
	var zero T
	// Not fs.ValidPath: file names need not be UTF-8.
	if !filepath.IsLocal(name) || path.Clean(name) != name || strings.IndexByte(name, 0) >= 0 {
		return zero, &fs.PathError{Op: verb, Path: name, Err: fs.ErrInvalid}
	}
	if err := t.root().err; err != nil {
		return zero, pathError(verb, name, err)
	}
	v, err := op(t.root().root, name)
	if err == nil || definite(err) {
		return v, pathError(verb, name, err)
	}
	// os.Root refuses all absolute symlinks, and those that leave the tree. Its error for that is
	// not exported, so every error that is not definite leads here.
	in, rel, err := t.locate(name)
	if err != nil {
		return zero, pathError(verb, name, err)
	}
	v, err = op(in.root, rel)
	return v, pathError(verb, name, err)
}

// definite reports whether err cannot be caused by a symlink.
func definite(err error) bool {
	return notExist(err) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrInvalid) ||
		errors.Is(err, fs.ErrClosed) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func notExist(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)
}

func pathError(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = inner.Err
	}
	if notExist(err) {
		err = fs.ErrNotExist
	}
	return &fs.PathError{Op: verb, Path: name, Err: err}
}

// locate resolves name element by element, and returns the tree in which it ends and its name
// there, without symlinks. The caller opens this name through os.Root again, so that a change in
// between cannot lead outside.
func (t *trees) locate(name string) (*tree, string, error) {
	in, done, rest := t.root(), ".", name
	for links := 0; rest != "" && rest != "."; {
		elem, after, _ := strings.Cut(rest, "/")
		next := filepath.Join(done, elem)
		info, err := in.root.Lstat(next)
		if err != nil {
			return nil, "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done, rest = next, after
			continue
		}
		if links++; links > maxLinks {
			return nil, "", fmt.Errorf("%w: more than %d symlinks", fs.ErrNotExist, maxLinks)
		}
		target, err := in.root.Readlink(next)
		if err != nil {
			return nil, "", err
		}
		if in, rest, err = t.enter(filepath.Join(in.real, next), target); err != nil {
			return nil, "", err
		}
		done, rest = ".", strings.Trim(rest+"/"+after, "/")
	}
	return in, done, nil
}

// enter returns the tree that a symlink leads to, and the path below it. link is the symlink's
// absolute path; only its last element is a symlink.
func (t *trees) enter(link, target string) (*tree, string, error) {
	// "a/.." is not "." if a is a symlink. Leading ".." are safe: link has no symlinks before its
	// last element.
	if _, climb, found := strings.Cut(trimClimb(target)+"/", "/../"); found {
		return nil, "", fmt.Errorf("%w: the symbolic link %q leads to %q, and what \"..\" before %q means is not known", ErrOutsideRoot, link, target, climb)
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(link), target)
	}
	target = filepath.Clean(target)
	for i := range t.list {
		in := &t.list[i]
		if in.root == nil {
			continue
		}
		if rel, ok := below(in.dir, target); ok {
			return in, rel, nil
		}
		if rel, ok := below(in.real, target); ok {
			return in, rel, nil
		}
	}
	return nil, "", fmt.Errorf("%w: the symbolic link %q leads to %q (to allow it, add that, or a directory above it, to follow: --follow)", ErrOutsideRoot, link, target)
}

func trimClimb(target string) string {
	for strings.HasPrefix(target, "../") {
		target = strings.TrimLeft(target[len("../"):], "/")
	}
	return target
}

func below(dir, name string) (rel string, ok bool) {
	if dir == name {
		return ".", true
	}
	return strings.CutPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

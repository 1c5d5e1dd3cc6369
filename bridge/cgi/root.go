package cgi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrOutsideRoot reports a name that leads, through a symlink, out of the root
// and not into a directory that may be followed. What wraps it says where to.
var ErrOutsideRoot = errors.New("leads outside the root")

// maxLinks is how many symlinks one name may pass, as in Linux.
const maxLinks = 40

// Root is a directory tree that nothing leads out of, except symlinks into the
// directories it was told to follow. It stays on the directories that were
// there when it was opened. Safe for concurrent use.
type Root struct {
	trees []tree // the root itself, then those to follow; os.Root guards each
}

type tree struct {
	dir  string // absolute, as configured
	real string // absolute, without symlinks
	root *os.Root
}

// OpenRoot opens dir and the directories that symlinks below it may lead to.
func OpenRoot(dir string, follow []string) (*Root, error) {
	r := &Root{}
	if err := r.add("root", dir); err != nil {
		return nil, err
	}
	for _, f := range follow {
		if err := r.add("follow", f); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	return r, nil
}

// Dir is the root's absolute path, as configured: symlinks in it are kept.
func (r *Root) Dir() string { return r.trees[0].dir }

// Close closes the directories. It may be called again.
func (r *Root) Close() error {
	var errs []error
	for _, t := range r.trees {
		errs = append(errs, t.root.Close())
	}
	return errors.Join(errs...)
}

// Stat describes the file that name leads to, symlinks followed. name is
// relative, slash-separated and clean, "." is the root. Errors are
// fs.ErrNotExist, fs.ErrPermission, ErrOutsideRoot, or the system's.
func (r *Root) Stat(name string) (fs.FileInfo, error) {
	return visit(r, "stat", name, (*os.Root).Stat)
}

// Open opens a regular file or a directory for reading. Other files (a FIFO
// would block whoever opens it) are fs.ErrInvalid. name and errors as in Stat.
func (r *Root) Open(name string) (*os.File, error) {
	return visit(r, "open", name, openFile)
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

// visit calls op on name, below the root or where a symlink leads.
func visit[T any](r *Root, verb, name string, op func(*os.Root, string) (T, error)) (T, error) {
	var zero T
	// Not fs.ValidPath: file names need not be UTF-8.
	if !filepath.IsLocal(name) || path.Clean(name) != name || strings.IndexByte(name, 0) >= 0 {
		return zero, &fs.PathError{Op: verb, Path: name, Err: fs.ErrInvalid}
	}
	v, err := op(r.trees[0].root, name)
	if err == nil || definite(err) {
		return v, pathError(verb, name, err)
	}
	// os.Root refuses every absolute symlink and every one that leaves the tree.
	// Its error for that is not exported, so whatever is left is looked into.
	t, rel, err := r.locate(name)
	if err != nil {
		return zero, pathError(verb, name, err)
	}
	v, err = op(t.root, rel)
	return v, pathError(verb, name, err)
}

// definite reports errors that no symlink is the reason of.
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

// locate walks name one element at a time and returns the tree it ends in and
// the name there, which is free of symlinks. The caller opens that name through
// os.Root again, so a change in between cannot lead outside.
func (r *Root) locate(name string) (*tree, string, error) {
	t, done, rest := &r.trees[0], ".", name
	for links := 0; rest != "" && rest != "."; {
		elem, after, _ := strings.Cut(rest, "/")
		next := filepath.Join(done, elem)
		info, err := t.root.Lstat(next)
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
		target, err := t.root.Readlink(next)
		if err != nil {
			return nil, "", err
		}
		if t, rest, err = r.enter(filepath.Join(t.real, next), target); err != nil {
			return nil, "", err
		}
		done, rest = ".", strings.Trim(rest+"/"+after, "/")
	}
	return t, done, nil
}

// enter returns the tree that a symlink leads to, and the path below it. link is its
// absolute path, without symlinks before its last element.
func (r *Root) enter(link, target string) (*tree, string, error) {
	// "a/.." is not "." if a is a symlink. Leading ".." are safe, dir has none.
	if _, climb, found := strings.Cut(trimClimb(target)+"/", "/../"); found {
		return nil, "", fmt.Errorf("%w: the symbolic link %q leads to %q, and what \"..\" before %q means is not known", ErrOutsideRoot, link, target, climb)
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(link), target)
	}
	target = filepath.Clean(target)
	for i := range r.trees {
		t := &r.trees[i]
		if rel, ok := below(t.dir, target); ok {
			return t, rel, nil
		}
		if rel, ok := below(t.real, target); ok {
			return t, rel, nil
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

func (r *Root) add(key, dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("cgi: %s %q: %w", key, dir, err)
	}
	resolved, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return fmt.Errorf("cgi: %s: %w", key, err)
	}
	root, err := os.OpenRoot(resolved)
	if err != nil {
		return fmt.Errorf("cgi: %s: %w", key, err)
	}
	r.trees = append(r.trees, tree{abs, resolved, root})
	return nil
}

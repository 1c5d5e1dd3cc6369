package sendfile

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// Fields are those that name a file, in canonical form: an application that sends several
// means the same file.
var Fields = [...]string{"X-Sendfile", "X-Lighttpd-Send-File", "X-Accel-Redirect"}

// Dirs are the directories whose files may be sent.
type Dirs struct{ list []dir }

type dir struct {
	path   string // absolute
	mapped bool   // a URI stands for it in X-Accel-Redirect
	uri    string // "/x", "" for all
}

// New checks a list of directories: each is DIR, or URI=DIR, where URI stands for DIR in
// X-Accel-Redirect as in a location of nginx. An error names the key.
func New(list []string) (Dirs, error) {
	var d Dirs
	for _, text := range list {
		uri, name, mapped := strings.Cut(text, "=/")
		if mapped {
			name = "/" + name
			uri = strings.TrimSuffix(uri, "/")
		} else {
			uri, name = "", text
		}
		abs, err := filepath.Abs(name)
		switch {
		case err != nil:
			return Dirs{}, fmt.Errorf("sendfile %q: %w", text, err)
		case name == "" || strings.ContainsAny(text, "\x00\r\n"):
			return Dirs{}, fmt.Errorf("sendfile %q: want a directory", text)
		case abs == "/":
			return Dirs{}, fmt.Errorf("sendfile %q: would have every file of this machine sent (name the directories that hold the application's files)", text)
		case mapped && path.Clean("/"+uri) != uri && !(uri == "" && text[0] == '/'):
			return Dirs{}, fmt.Errorf("sendfile %q: want URI=DIR, where URI is a plain path like /protected", text)
		}
		d.list = append(d.list, dir{abs, mapped, uri})
	}
	return d, nil
}

// Unused returns an error for each directory that is not there now. It is for a log.
func (d Dirs) Unused() (list []error) {
	for _, dir := range d.list {
		if info, err := os.Stat(dir.path); err != nil || !info.IsDir() {
			list = append(list, fmt.Errorf("sendfile %q: there is no such directory", dir.path))
		}
	}
	return list
}

// NotListedError reports a file in no directory of the list.
type NotListedError struct {
	Field, Value string // what the application has said
	Elsewhere    bool   // there are directories in the list
}

func (e *NotListedError) Error() string {
	if !e.Elsewhere {
		return fmt.Sprintf("%s asks for %.200q to be sent, and no directory is listed for that (--sendfile)", e.Field, e.Value)
	}
	return fmt.Sprintf("%s asks for %.200q to be sent, which is in no directory that is listed for that (--sendfile)", e.Field, e.Value)
}

// Open opens the file that a field asks for. The error is a *NotListedError, or tells why
// it cannot be opened: fs.ErrNotExist, fs.ErrPermission, fs.ErrInvalid for what is no
// regular file, or the system's.
func (d Dirs) Open(field, value string) (*os.File, error) {
	var missing error
	for _, name := range names(field, value) {
		for _, at := range d.find(name, field == "X-Accel-Redirect") {
			f, err := d.open(at)
			if err == nil {
				return f, nil
			}
			if missing == nil || errors.Is(missing, fs.ErrNotExist) && !errors.Is(err, fs.ErrNotExist) {
				missing = err
			}
		}
	}
	if missing == nil || errors.Is(missing, cgi.ErrOutsideRoot) {
		return nil, &NotListedError{field, value, len(d.list) > 0}
	}
	return nil, fmt.Errorf("%s: %w", field, missing)
}

// names are what value may mean: applications differ in whether they encode it. nginx,
// whose field X-Accel-Redirect is, takes it for encoded, and others as it is.
func names(field, value string) []string {
	plain := value
	if field == "X-Accel-Redirect" {
		value, _, _ = strings.Cut(value, "?")
	}
	decoded, err := url.PathUnescape(value)
	switch {
	case err != nil || decoded == plain:
		return []string{plain}
	case field == "X-Accel-Redirect":
		return []string{decoded, plain}
	}
	return []string{plain, decoded}
}

// place is where a file may be.
type place struct {
	dir  dir
	name string // below it
}

// find returns the places that name stands for, the most likely first.
func (d Dirs) find(name string, isURI bool) (found []place) {
	if strings.IndexByte(name, 0) >= 0 {
		return nil
	}
	if isURI {
		found = d.ofURI(name)
	}
	for _, dir := range d.list {
		if !path.IsAbs(name) { // Apache's mod_xsendfile
			found = append(found, place{dir, path.Clean("/" + name)[1:]})
		} else if rel, ok := dir.has(path.Clean(name)); ok {
			found = append(found, place{dir, rel})
		}
	}
	return found
}

// ofURI returns the places for a URI, the longest match first.
func (d Dirs) ofURI(uri string) (found []place) {
	uri = path.Clean("/" + uri)
	for _, dir := range d.list {
		if rel, ok := below(dir.uri, uri); ok && dir.mapped {
			found = append(found, place{dir, rel})
		}
	}
	slices.SortStableFunc(found, func(a, b place) int { return len(b.dir.uri) - len(a.dir.uri) })
	return found
}

// has returns how a path is called below the directory. PHP's __DIR__ and the like have no
// symbolic links in them.
func (d dir) has(name string) (rel string, ok bool) {
	if rel, ok = below(d.path, name); ok {
		return rel, true
	}
	if real, err := filepath.EvalSymlinks(d.path); err == nil && real != d.path {
		return below(real, name)
	}
	return "", false
}

func below(dir, name string) (rel string, ok bool) {
	rest, ok := strings.CutPrefix(name, dir)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return strings.TrimPrefix(rest, "/"), true
}

// open opens a file. A symbolic link may lead into another directory of the list.
func (d Dirs) open(at place) (*os.File, error) {
	f, err := at.open()
	if !errors.Is(err, cgi.ErrOutsideRoot) {
		return f, err
	}
	target, evalErr := filepath.EvalSymlinks(filepath.Join(at.dir.path, at.name))
	if evalErr != nil {
		return nil, err
	}
	for _, dir := range d.list {
		if rel, ok := dir.has(target); ok {
			return place{dir, rel}.open()
		}
	}
	return nil, err
}

func (at place) open() (*os.File, error) {
	root, err := cgi.OpenRoot(at.dir.path, nil)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if at.name == "" {
		at.name = "."
	}
	f, err := root.Open(at.name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: at.name, Err: fmt.Errorf("%w: a directory", fs.ErrInvalid)}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

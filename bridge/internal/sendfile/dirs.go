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

// Fields has the header fields that name a file, in canonical form. An application that sends several
// of them means the same file.
var Fields = [...]string{"X-Sendfile", "X-Lighttpd-Send-File", "X-Accel-Redirect"}

// Dirs is a list of directories whose files may be sent.
type Dirs struct{ list []dir }

type dir struct {
	path   string // absolute
	mapped bool   // uri stands for it in X-Accel-Redirect
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

// Unused returns an error, for a log, for each directory that does not exist now.
func (d Dirs) Unused() (list []error) {
	for _, dir := range d.list {
		if info, err := os.Stat(dir.path); err != nil || !info.IsDir() {
			list = append(list, fmt.Errorf("sendfile %q: there is no such directory", dir.path))
		}
	}
	return list
}

// NotListedError reports a file that is in no listed directory.
type NotListedError struct {
	Field, Value string // sent by the application
	Elsewhere    bool   // directories are listed
}

func (e *NotListedError) Error() string {
	if !e.Elsewhere {
		return fmt.Sprintf("%s asks for %.200q to be sent, and no directory is listed for that (--sendfile)", e.Field, e.Value)
	}
	return fmt.Sprintf("%s asks for %.200q to be sent, which is in no directory that is listed for that (--sendfile)", e.Field, e.Value)
}

// Open opens the file that a field names. The error is a *NotListedError, fs.ErrNotExist,
// fs.ErrPermission, fs.ErrInvalid if it is no regular file, or the system's.
func (d Dirs) Open(field, value string) (*os.File, error) {
	var missing error
	for _, name := range candidates(field, value) {
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

// candidates returns the names that value may stand for, the most likely first: some applications
// percent-encode it. nginx decodes X-Accel-Redirect; other servers do not decode their fields.
func candidates(field, value string) []string {
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

// location is a possible location of a file.
type location struct {
	dir  dir
	name string // below it
}

// find returns the possible locations for name, the most likely first.
func (d Dirs) find(name string, isURI bool) (found []location) {
	if strings.IndexByte(name, 0) >= 0 {
		return nil
	}
	if isURI {
		found = d.ofURI(name)
	}
	for _, dir := range d.list {
		if !path.IsAbs(name) { // Apache's mod_xsendfile
			found = append(found, location{dir, path.Clean("/" + name)[1:]})
		} else if rel, ok := dir.rel(path.Clean(name)); ok {
			found = append(found, location{dir, rel})
		}
	}
	return found
}

// ofURI returns the locations for a URI, the longest match first.
func (d Dirs) ofURI(uri string) (found []location) {
	uri = path.Clean("/" + uri)
	for _, dir := range d.list {
		if rel, ok := below(dir.uri, uri); ok && dir.mapped {
			found = append(found, location{dir, rel})
		}
	}
	slices.SortStableFunc(found, func(a, b location) int { return len(b.dir.uri) - len(a.dir.uri) })
	return found
}

// rel returns the name of a path relative to the directory. It also accepts the directory's path
// without symbolic links, which PHP's __DIR__ returns.
func (d dir) rel(name string) (rel string, ok bool) {
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
func (d Dirs) open(at location) (*os.File, error) {
	f, err := at.open()
	if !errors.Is(err, cgi.ErrOutsideRoot) {
		return f, err
	}
	target, evalErr := filepath.EvalSymlinks(filepath.Join(at.dir.path, at.name))
	if evalErr != nil {
		return nil, err
	}
	for _, dir := range d.list {
		if rel, ok := dir.rel(target); ok {
			return location{dir, rel}.open()
		}
	}
	return nil, err
}

func (at location) open() (*os.File, error) {
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

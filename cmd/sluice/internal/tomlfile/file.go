package tomlfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// File is a configuration file that was read.
type File struct {
	Path              string
	config.Standalone          // complete
	Renamed           []string // sentences about former names
	Warnings          Problems // what works, and is probably not meant

	server       located
	applications []located
	sites        []located
}

// located says where the keys of a table stand.
type located struct {
	at      Position // of the table's name
	keys    map[string]Position
	wrong   map[string]bool // keys whose values were left out
	written config.Written
}

// maxSize is the largest file that is read, in bytes.
const maxSize = 16 << 20

// Load reads and checks a file. It calls pause, which may be nil, between two parts of
// the work, often. The error is Problems if it is about what is in the file.
func Load(path string, pause func()) (*File, error) {
	data, err := read(path, os.ReadFile)
	if err != nil {
		return nil, err
	}
	if pause == nil {
		pause = func() {}
	}
	return parseFile(path, data, pause)
}

// readTries is how often a file is read that changes meanwhile.
const readTries = 3

// read returns what is in a file. One that changes while it is read is read again: a part of it could
// be a valid configuration.
func read(path string, readFile func(string) ([]byte, error)) ([]byte, error) {
	for range readTries {
		before, err := stat(path)
		if err != nil {
			return nil, err
		}
		data, err := readFile(path)
		if err != nil {
			return nil, pathError(path, err)
		}
		after, err := stat(path)
		if err != nil {
			return nil, err
		}
		if os.SameFile(before, after) && before.ModTime().Equal(after.ModTime()) && before.Size() == after.Size() && int64(len(data)) == after.Size() {
			return data, nil
		}
	}
	return nil, fmt.Errorf("%s: changes while it is read: write it under another name and rename it, or load it again when it is complete", path)
}

func stat(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, pathError(path, err)
	case info.IsDir():
		return nil, fmt.Errorf("%s: is a directory: name the file in it", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is no regular file", path)
	case info.Size() > maxSize:
		return nil, fmt.Errorf("%s: has %d bytes, which is no configuration: want %d at most", path, info.Size(), maxSize)
	}
	return info, nil
}

func pathError(path string, err error) error {
	advice := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		advice = " (\"sluice config example\" prints one to begin with)"
	case errors.Is(err, fs.ErrPermission):
		advice = " (let the user that Sluice runs as read it)"
	}
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = inner.Err
	}
	return fmt.Errorf("%s: %w%s", path, err, advice)
}

// Parse is Load for a text. path is for errors.
func Parse(path string, data []byte) (*File, error) { return parseFile(path, data, func() {}) }

func parseFile(path string, data []byte, pause func()) (*File, error) {
	root, wrong := parse(data, pause)
	if wrong != nil {
		wrong.Path = path
		return nil, Problems{wrong}
	}
	r := reader{file: &File{Path: path}, pause: pause, meant: make(map[string]bool)}
	r.top(root)
	r.relations()
	if err := r.problems.asError(); err != nil {
		return nil, err
	}
	return r.file, nil
}

// ServerError returns err, which begins with a key of the server, with the position of that key.
func (f *File) ServerError(err error) error { return f.server.problem(f.Path, err) }

// ApplicationError returns err, which begins with a key of an application, with its position.
func (f *File) ApplicationError(i int, err error) error {
	return f.applications[i].problem(f.Path, err)
}

// SiteError returns err, which begins with a key of a site, with its position. Without such a key,
// it may be about one of the application.
func (f *File) SiteError(i int, err error) error {
	if key := keyOf(err); key != "" {
		for n, a := range f.Applications {
			if _, written := f.sites[i].keys[key]; a.Name == f.Sites[i].Uses && !written && a.Schema().Lookup(key) != nil {
				return f.ApplicationError(n, err)
			}
		}
	}
	return f.sites[i].problem(f.Path, err)
}

// problem locates an error.
func (l *located) problem(path string, err error) *Problem {
	at, ok := l.keys[keyOf(err)]
	if !ok {
		at = l.at
	}
	return &Problem{path, at, strings.TrimPrefix(l.written.In(err).Error(), "cgi: ")}
}

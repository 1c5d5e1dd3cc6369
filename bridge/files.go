package bridge

import (
	"errors"
	"io/fs"
	"net/http"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// Root is the directory tree the preset serves scripts from, nil if it has none, the files
// are not to be seen from here, or each request has a root of its own.
func (h *Handler) Root() *cgi.Root { return h.serves.Mapper.Root() }

// StaticFile returns the name of the file under Root that r asks for, if there is one that
// may be sent as it is to this client: Static and its like include it, it is neither a
// script nor hidden, SiteHooks.Identify does not refuse the request, and no authorizer is to be
// asked first (then see SiteHooks.ServeFile). It is for fronts that
// send files themselves; File is for others. The bridge itself answers such a request with
// 404, or with the refusal.
func (h *Handler) StaticFile(r *http.Request) (name string, ok bool) {
	if h.guarded(r) {
		return "", false
	}
	if name, ok = h.serves.Mapper.StaticFile(r); !ok {
		return "", false
	}
	return name, h.admitsFile(r)
}

// admitsFile reports whether the client may have a file at all.
func (h *Handler) admitsFile(r *http.Request) bool {
	var c cgi.Client
	h.identify(r, &c)
	return c.Refused == nil
}

// File is a static file that was opened for a request. ServeHTTP must be called.
type File struct {
	file *cgi.File
	err  error // why there is none to send
}

// File opens the static file that r asks for, if there is one that may be sent to this
// client: one that StaticFile returns, or one of another directory that StaticDirs names.
// It is nil if there is none.
func (h *Handler) File(r *http.Request) *File {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || h.guarded(r) {
		return nil
	}
	file, err := h.serves.Mapper.OpenStatic(r)
	switch {
	case err == nil && file == nil:
		return nil
	case !h.admitsFile(r):
		if file != nil {
			_ = file.Close() // nothing was written to it
		}
		return nil
	case err != nil:
		h.cfg.Logger.Warn("a static file cannot be opened", "path", r.URL.Path, "error", err.Error(), "advice", "let the user that Sluice runs as read the file")
		return &File{err: err}
	}
	return &File{file: file}
}

// HasFile reports whether there may be something that File returns, for a front that leaves such
// requests to another one.
func (h *Handler) HasFile(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || h.guarded(r) {
		return false
	}
	file, err := h.serves.Mapper.OpenStatic(r)
	if file != nil {
		_ = file.Close() // nothing was written to it
	}
	return file != nil || err != nil
}

// ServeHTTP sends the file, or the part of it that r asks for, and closes it.
func (f *File) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case errors.Is(f.err, fs.ErrPermission), errors.Is(f.err, cgi.ErrOutsideRoot):
		http.Error(w, "403 Forbidden\n\nThis may not be served.", http.StatusForbidden)
		return
	case f.err != nil:
		http.Error(w, "500 Internal Server Error\n\nSomething went wrong in this server.", http.StatusInternalServerError)
		return
	}
	defer f.file.Close()
	w.Header().Set("Content-Type", f.file.ContentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, f.file.Info.Name(), f.file.Info.ModTime(), f.file)
}

// noteRoot tells the log where the root leads.
func (h *Handler) noteRoot(c cgi.RootChange) {
	log := h.cfg.Logger.With("key", c.Key, "directory", c.Dir)
	if c.Err != nil {
		log.Warn("a directory cannot be opened: what is there is answered with 404 until it can", "error", c.Err.Error(), "advice", "make the directory again, or let the user that Sluice runs as read it")
		return
	}
	log.Info("a directory leads elsewhere than before", "now", c.Real)
}

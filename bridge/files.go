package bridge

import (
	"errors"
	"io/fs"
	"net/http"
	"strconv"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/compress"
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
	file        *cgi.File
	err         error // why there is none to send
	compression *compress.Site
	cut         bool
}

// AsIs has the file not be compressed while it is sent: Cut is always false then. It is for
// SiteHooks.ServeFile, and for files that only some clients may see.
func (f *File) AsIs() { f.compression = nil }

// Cut reports whether ServeHTTP has sent only a part of the file, in a way that the client cannot tell
// from the whole. Then the handler must panic with http.ErrAbortHandler.
func (f *File) Cut() bool { return f.cut }

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
	return &File{file: file, compression: h.serves.Compression}
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
	h := w.Header()
	h["Content-Type"] = []string{f.file.ContentType}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Etag"] = []string{f.file.ETag}
	if f.file.CacheControl != "" {
		h["Cache-Control"] = []string{f.file.CacheControl}
	}
	if f.file.Varies {
		cgi.VaryByCoding(h)
	}
	if f.file.Coding != "" {
		h["Content-Encoding"] = []string{f.file.Coding}
	}
	to := &fileWriter{ResponseWriter: w, request: r, file: f.file, compression: f.compression}
	http.ServeContent(to, r, "", f.file.Info.ModTime(), f.file)
	f.cut = to.end()
}

// fileWriter is what http.ServeContent writes a file to. It compresses a whole file as the site's
// settings say.
type fileWriter struct {
	http.ResponseWriter
	request     *http.Request
	file        *cgi.File
	compression *compress.Site
	encoder     *compress.Encoder // nil: the file is sent as it is
	read        int64
	failed      error
}

// WriteHeader implements http.ResponseWriter.
func (w *fileWriter) WriteHeader(status int) {
	h := w.Header()
	if status == http.StatusOK && w.file.Coding != "" { // ServeContent leaves that out where there is a Content-Encoding
		h["Content-Length"] = []string{strconv.FormatInt(w.file.Size, 10)}
	}
	if status == http.StatusOK || status == http.StatusNotModified { // others do not have the whole file
		w.encoder = w.compression.Begin(compress.Answer{
			Asked: w.request.Header, Head: w.request.Method == http.MethodHead, Header: h, Status: status, Size: w.file.Size,
			File: true, Delimited: w.request.ProtoAtLeast(1, 1),
		})
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *fileWriter) Write(p []byte) (int, error) {
	if w.encoder == nil {
		return w.ResponseWriter.Write(p)
	}
	w.read += int64(len(p))
	return len(p), w.send(w.encoder.Write(p))
}

func (w *fileWriter) send(p []byte) error {
	if w.failed == nil && len(p) > 0 {
		_, w.failed = w.ResponseWriter.Write(p)
	}
	return w.failed
}

// end ends a compressed file, and reports whether it was cut: it has become shorter while it was sent,
// or the client has left.
func (w *fileWriter) end() (cut bool) {
	if w.encoder == nil {
		return false
	}
	defer w.encoder.Release()
	return w.read < w.file.Size || w.send(w.encoder.End()) != nil
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

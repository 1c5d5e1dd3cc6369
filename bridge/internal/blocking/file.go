package blocking

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"

	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
	"github.com/sluice-proxy/sluice/bridge/internal/sendfile"
)

// openFile opens the file that the application names, if one of the listed directories has
// it. Without one, and without an error, nothing is asked for any more: Connection has named
// the field.
func (c *call) openFile() (opened bool, err error) {
	for _, field := range sendfile.Fields {
		value, asked := c.x.Said[field]
		if !asked {
			continue
		}
		file, openErr := c.Site.Sendfile.Open(field, value[0])
		if openErr == nil {
			c.file = file
			return true, nil
		}
		if _, unlisted := errors.AsType[*sendfile.NotListedError](err); err == nil || unlisted {
			err = openErr
		}
	}
	return false, err
}

// CloseFile implements exchange.Driver.
func (c *call) CloseFile() {
	_ = c.file.Close() // nothing was written to it
	c.file = nil
}

// sendFile sends the client the file, with the application's header.
func (c *call) sendFile() error {
	defer c.CloseFile()
	info, err := c.file.Stat()
	if err != nil {
		return exchange.FileFailed(err)
	}
	h, status := c.w.Header(), c.x.Reply.Status
	delete(h, "Content-Range")
	h["Content-Length"] = []string{strconv.FormatInt(info.Size(), 10)}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // net/http must not guess
		if t := mime.TypeByExtension(path.Ext(c.file.Name())); t != "" {
			h["Content-Type"] = []string{t}
		}
	}
	c.endConnection(h)
	to := &fileWriter{c: c, client: c.clientWriter()}
	defer to.client.done(nil)
	switch {
	case status != http.StatusOK && status != http.StatusPartialContent, c.R.Method != http.MethodGet && c.R.Method != http.MethodHead:
		delete(h, "Accept-Ranges")
		to.WriteHeader(status)
		if c.R.Method != http.MethodHead {
			_, _ = io.Copy(to, io.LimitReader(c.file, info.Size())) // finish tells
		}
	default:
		modified := info.ModTime()
		if said, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
			modified = said
		}
		http.ServeContent(to, c.R, "", modified, c.file)
	}
	return to.finish()
}

// fileWriter writes a file to the client, and gives it time for each piece.
type fileWriter struct {
	c        *call
	client   *clientWriter
	promised int64 // bytes of content, -1 if none were; others may change the header
	err      error // of writing
}

// Header implements http.ResponseWriter.
func (w *fileWriter) Header() http.Header { return w.c.w.Header() }

// WriteHeader implements http.ResponseWriter.
func (w *fileWriter) WriteHeader(status int) {
	if status == http.StatusPreconditionFailed {
		delete(w.Header(), "Content-Length") // it has no content
	}
	w.promised = -1
	if n, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64); err == nil && w.c.R.Method != http.MethodHead {
		w.promised = n
	}
	w.client.extend()
	w.c.x.Out.Status = status
	w.c.w.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *fileWriter) Write(p []byte) (int, error) {
	w.client.extend()
	n, err := w.c.w.Write(p)
	w.c.x.Out.BytesOut += int64(n)
	if err != nil {
		w.err = clientError(err)
	}
	return n, err
}

// finish reports whether the client got less than it was promised: it has left, or the file
// has become shorter meanwhile.
func (w *fileWriter) finish() error {
	switch {
	case w.err != nil:
		return w.err
	case w.c.x.Out.BytesOut < w.promised:
		return exchange.FileFailed(fmt.Errorf("the file ended after %d of %d bytes while it was sent", w.c.x.Out.BytesOut, w.promised))
	}
	return nil
}

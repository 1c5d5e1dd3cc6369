package bridge

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"strconv"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/lines"
	"github.com/sluice-proxy/sluice/bridge/internal/sendfile"
)

// SendfileWriter is a http.ResponseWriter of a front that may act on X-Sendfile and
// X-Accel-Redirect itself. It is given these fields, as a trusted proxy is, where the
// bridge does not send the file.
type SendfileWriter interface {
	// ActsOnSendfile reports whether it does.
	ActsOnSendfile() bool
}

// fileError is a file that the application wants sent and that cannot be.
type fileError struct{ err error }

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// sendfile sends the file that the application names, if one of the listed directories has
// it. Else a proxy before us that may act on the field gets it, and nobody else: it tells
// of the machine's directories. The length that the application has announced is the
// file's, or its own mistake; what it says is what counts.
func (x *exchange) sendfile(resp *cgi.Response, header int, stderr *lines.Source) (sent bool, err error) {
	file, err := x.openSendfile()
	if unlisted := (*sendfile.NotListedError)(nil); file == nil && (err == nil || errors.As(err, &unlisted)) {
		return false, x.unsentFile(unlisted, resp, header, stderr)
	}
	x.dropSendfile()
	if file != nil && hasNoBody(resp.Status) {
		return false, file.Close()
	}
	x.finish(header, stderr)
	if err != nil {
		return false, &fileError{err}
	}
	defer file.Close()
	x.adopt()
	return true, x.answerFile(file, resp.Status)
}

// openSendfile opens the file that is asked for. Without one, and without an error, nothing
// is asked for any more: Connection has named the field.
func (x *exchange) openSendfile() (file *os.File, err error) {
	for _, field := range sendfile.Fields {
		value, asked := x.said[field]
		if !asked {
			continue
		}
		var opened error
		if file, opened = x.b.sendable.Open(field, value[0]); opened == nil {
			return file, nil
		}
		if unlisted := (*sendfile.NotListedError)(nil); err == nil || errors.As(err, &unlisted) {
			err = opened
		}
	}
	return nil, err
}

func (x *exchange) dropSendfile() {
	for _, field := range sendfile.Fields {
		delete(x.said, field)
	}
}

// unsentFile makes an ordinary answer of one that asks for a file which is not sent here.
func (x *exchange) unsentFile(unlisted *sendfile.NotListedError, resp *cgi.Response, header int, stderr *lines.Source) error {
	resp.ContentLength, x.content.length = -1, -1
	delete(x.said, "Content-Length")
	if unlisted == nil || x.passesSendfile() {
		return nil
	}
	x.dropSendfile()
	x.b.unsent.tell(x.b, unlisted)
	if hasNoBody(resp.Status) {
		return nil
	}
	none, err := x.awaitBody(header, stderr)
	if err == nil && none {
		err = &appError{errProtocol, unlisted}
	}
	return err
}

// passesSendfile reports whether whoever gets the answer may act on the field.
func (x *exchange) passesSendfile() bool {
	if x.client.Trusted {
		return true
	}
	front, ok := x.w.(SendfileWriter)
	return ok && front.ActsOnSendfile()
}

// unsentNotices tells the log of files that are asked for and not sent, each thing once.
type unsentNotices struct{ unlisted, elsewhere atomic.Bool }

func (n *unsentNotices) tell(b *Bridge, asked *sendfile.NotListedError) {
	told, what := &n.unlisted, "the application asks for a file to be sent, and no directory is listed for that; the field is left out, and this is logged once"
	if asked.Elsewhere {
		told, what = &n.elsewhere, "the application asks for a file to be sent that is in no listed directory; the field is left out, and this is logged once"
	}
	if told.Swap(true) {
		return
	}
	remedy := "to have such files sent, add --sendfile " + path.Dir(asked.Value) + ", or a directory above it (sendfile)"
	if asked.Field == "X-Accel-Redirect" {
		remedy = "to have such files sent, add --sendfile " + path.Dir(asked.Value) + "=DIR (sendfile), where DIR holds them; if nginx, before this, is to send them, add --trusted-proxy with its address"
	}
	b.cfg.Logger.Warn(what, "field", asked.Field, "file", asked.Value, "remedy", remedy)
}

// answerFile sends the client a file, with the application's header.
func (x *exchange) answerFile(file *os.File, status int) error {
	info, err := file.Stat()
	if err != nil {
		return &fileError{err}
	}
	h := x.w.Header()
	delete(h, "Content-Range")
	h["Content-Length"] = []string{strconv.FormatInt(info.Size(), 10)}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // net/http must not guess
		if t := mime.TypeByExtension(path.Ext(file.Name())); t != "" {
			h["Content-Type"] = []string{t}
		}
	}
	x.endConnection(h)
	to := &fileWriter{x: x, client: x.clientWriter()}
	defer to.client.done(nil)
	switch {
	case status != http.StatusOK && status != http.StatusPartialContent, x.r.Method != http.MethodGet && x.r.Method != http.MethodHead:
		delete(h, "Accept-Ranges")
		to.WriteHeader(status)
		if x.r.Method != http.MethodHead {
			_, _ = io.Copy(to, io.LimitReader(file, info.Size())) // finish tells
		}
	default:
		modified := info.ModTime()
		if said, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
			modified = said
		}
		http.ServeContent(to, x.r, "", modified, file)
	}
	return to.finish()
}

// fileWriter writes a file to the client, and gives it time for each piece.
type fileWriter struct {
	x        *exchange
	client   *clientWriter
	promised int64 // bytes of content, -1 if none were; others may change the header
	err      error // of writing
}

// Header implements http.ResponseWriter.
func (w *fileWriter) Header() http.Header { return w.x.w.Header() }

// WriteHeader implements http.ResponseWriter.
func (w *fileWriter) WriteHeader(status int) {
	if status == http.StatusPreconditionFailed {
		delete(w.Header(), "Content-Length") // it has no content
	}
	w.promised = -1
	if n, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64); err == nil && w.x.r.Method != http.MethodHead {
		w.promised = n
	}
	w.client.extend()
	w.x.out.Status = status
	w.x.w.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *fileWriter) Write(p []byte) (int, error) {
	w.client.extend()
	n, err := w.x.w.Write(p)
	w.x.out.BytesOut += int64(n)
	if err != nil {
		w.err = &clientError{err}
	}
	return n, err
}

// finish reports whether the client got less than it was promised: it has left, or the
// file has become shorter meanwhile.
func (w *fileWriter) finish() error {
	switch {
	case w.err != nil:
		return w.err
	case w.x.out.BytesOut < w.promised:
		return &fileError{fmt.Errorf("the file ended after %d of %d bytes while it was sent", w.x.out.BytesOut, w.promised)}
	}
	return nil
}

// classifyFile is how a file that cannot be sent looks from outside.
func classifyFile(err *fileError) failure {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrInvalid):
		return failure{http.StatusNotFound, errProtocol, "There is nothing here."}
	case errors.Is(err, fs.ErrPermission):
		return failure{http.StatusForbidden, errProtocol, "This may not be served."}
	}
	return failure{http.StatusInternalServerError, errInternal, "Something went wrong in this server."}
}

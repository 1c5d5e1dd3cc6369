package cgiserver

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// outputBuffer is how much of an answer is collected before it is sent, in bytes.
	outputBuffer = 16 << 10
	// keepBuffer is the largest buffer that is kept for other requests, in bytes.
	keepBuffer = 128 << 10
	// errorLogBuffer is how much of the application's standard error waits for the next piece of
	// the answer, in bytes. The rest is in this program's log alone.
	errorLogBuffer = 16 << 10
)

// response is the http.ResponseWriter of a request. It belongs to the handler's goroutine, but
// for its deadlines and its error log.
type response struct {
	link     *link
	frame    framer
	in       *stdin
	deadline time.Time // of writes; guarded by link.mu

	header    http.Header
	status    int   // 0: there is none yet
	length    int64 // of the content, as announced, -1 if it is not
	written   int64 // of the content
	bodyless  bool  // there is no content, whatever the header says
	isHead    bool  // the method is HEAD
	begun     bool  // the header is in out, or was sent
	flushed   bool  // something was sent
	closes    bool  // the handler wants the connection to end
	refuse    bool  // with OVERLOADED
	out       *[]byte
	errorLog  *errorLog // nil: the web server is not sent the application's standard error
	writeFail error
}

var outputs = sync.Pool{New: func() any { return new([]byte) }}

func newResponse(l *link, f framer, in *stdin, r *http.Request, forward bool) *response {
	w := &response{link: l, frame: f, in: in, header: make(http.Header), length: -1, out: outputs.Get().(*[]byte)}
	w.isHead = r != nil && r.Method == http.MethodHead
	if forward {
		w.errorLog = new(errorLog)
	}
	return w
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. Interim answers are dropped: a web server takes the
// first header for the final one.
func (w *response) WriteHeader(status int) {
	if w.status != 0 || status < 200 {
		return
	}
	w.status = status
	w.bodyless = w.isHead || status == http.StatusNoContent || status == http.StatusNotModified
	if n, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		w.length = n
	}
	w.closes = w.header.Get("Connection") == "close"
}

// hopByHop are the fields that are between the handler and its client, and "Status", which is
// the protocol's.
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Status": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// begin writes the header, once. p is the beginning of the content.
func (w *response) begin(p []byte) {
	if w.begun {
		return
	}
	w.begun = true
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if _, said := w.header["Content-Type"]; !said && len(p) > 0 {
		w.header["Content-Type"] = []string{http.DetectContentType(p)} // as net/http does
	}
	var head bytes.Buffer
	head.WriteString("Status: " + strconv.Itoa(w.status) + " " + http.StatusText(w.status) + "\r\n")
	_ = w.header.WriteSubset(&head, hopByHop) // a bytes.Buffer does not fail
	head.WriteString("\r\n")
	*w.out = w.frame.output(*w.out, head.Bytes())
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	if w.writeFail != nil {
		return 0, w.writeFail
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.bodyless {
		if w.isHead {
			return len(p), nil
		}
		return 0, http.ErrBodyNotAllowed
	}
	n := len(p)
	if w.length >= 0 && w.written+int64(n) > w.length {
		return 0, http.ErrContentLength
	}
	w.begin(p)
	w.written += int64(n)
	*w.out = w.frame.output(*w.out, p)
	if len(*w.out) >= outputBuffer {
		return n, w.send()
	}
	return n, nil
}

// FlushError has what was written so far sent, the header at least. It is for
// http.ResponseController.
func (w *response) FlushError() error {
	w.begin(nil)
	return w.send()
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() } // the next Write says so

func (w *response) send() error {
	if w.writeFail != nil {
		return w.writeFail
	}
	w.takeErrors()
	if len(*w.out) == 0 {
		return nil
	}
	w.flushed = true
	w.writeFail = w.link.write(w, *w.out)
	*w.out = (*w.out)[:0]
	return w.writeFail
}

// takeErrors adds what the application has written to its standard error.
func (w *response) takeErrors() {
	if w.errorLog != nil {
		*w.out = w.errorLog.take(*w.out, w.frame)
	}
}

// complete reports whether the handler has written all that it has announced.
func (w *response) complete() bool {
	return w.writeFail == nil && (w.bodyless || w.length < 0 || w.written == w.length)
}

// finish ends a complete answer.
func (w *response) finish() {
	if w.refuse && !w.begun {
		if out, ok := w.frame.overloaded(*w.out); ok {
			*w.out = out
			_ = w.send() // the connection is closed if it fails
			return
		}
	}
	w.begin(nil)
	w.takeErrors()
	*w.out = w.frame.end(*w.out)
	_ = w.send() // the connection is closed if it fails
}

// abandon ends an answer that nobody wants the rest of.
func (w *response) abandon() {
	*w.out = w.frame.end((*w.out)[:0])
	_ = w.send() // the connection is closed if it fails
}

// fail answers in place of a handler of which nothing was sent.
func (w *response) fail(status int) {
	*w.out, w.begun, w.written = (*w.out)[:0], false, 0
	clear(w.header)
	text := strconv.Itoa(status) + " " + http.StatusText(status) + "\n"
	w.header.Set("Content-Type", "text/plain; charset=utf-8")
	w.header.Set("Content-Length", strconv.Itoa(len(text)))
	if status == http.StatusServiceUnavailable {
		w.header.Set("Retry-After", "1")
	}
	w.status, w.length = 0, -1
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // finish sees it
	w.finish()
}

// release gives back the memory.
func (w *response) release() {
	if cap(*w.out) <= keepBuffer {
		*w.out = (*w.out)[:0]
		outputs.Put(w.out)
	}
	w.out = nil
}

// SetReadDeadline sets the deadline for reading the body. It is for http.ResponseController.
func (w *response) SetReadDeadline(t time.Time) error {
	w.in.setDeadline(t)
	return nil
}

// SetWriteDeadline sets the deadline for writing the answer; zero: each write has WriteTimeout.
// It is for http.ResponseController.
func (w *response) SetWriteDeadline(t time.Time) error { return w.link.setDeadline(w, t) }

// EnableFullDuplex is for http.ResponseController: the body can always be read after the answer
// has begun.
func (w *response) EnableFullDuplex() error { return nil }

// ErrorLog returns the web server's error log, nil if it is not to be written to. It does not
// block, and may be written to in another goroutine while the handler runs.
func (w *response) ErrorLog() io.Writer {
	if w.errorLog == nil {
		return nil
	}
	return w.errorLog
}

// Overload refuses a request with FastCGI's END_REQUEST and FCGI_OVERLOADED instead of an answer.
// It reports whether that can be done: the request has come to a Server in FastCGI, and nothing
// was written for it. The handler writes nothing then.
func Overload(w http.ResponseWriter) bool {
	for {
		switch v := w.(type) {
		case *response:
			if _, ok := v.frame.overloaded(nil); !ok || v.begun || v.status != 0 {
				return false
			}
			v.refuse = true
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return false
		}
	}
}

// errorLog is text for the web server's error log.
type errorLog struct {
	mu   sync.Mutex
	text []byte
	full bool // the last piece did not fit
}

// Write implements io.Writer.
func (e *errorLog) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case len(e.text)+len(p) <= errorLogBuffer:
		e.text = append(e.text, p...)
	case !e.full:
		e.full = true
		e.text = append(e.text, "[sluice: the rest is in its own log]\n"...)
	}
	return len(p), nil
}

func (e *errorLog) take(dst []byte, f framer) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.text) > 0 {
		dst = f.stderr(dst, e.text)
		e.text, e.full = e.text[:0], false
	}
	return dst
}

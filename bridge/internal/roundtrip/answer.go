package roundtrip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime/debug"
	"strconv"
	"sync"
)

// answerBuffer is how many bytes of a body an answer buffers. The handler holds the rest, in memory or in
// a file.
const answerBuffer = 32 << 10

// Answer passes an answer from a handler to a round trip: it is the http.ResponseWriter for the handler, and
// the http.Response with its body for the reader.
type Answer struct {
	request *http.Request
	header  http.Header   // the writer's header
	begun   chan struct{} // closed when there is a status, or an error instead
	leave   func()        // ends the context that the handler has; set by Serve

	mu         sync.Mutex
	changed    sync.Cond
	status     int         // 0: not known yet
	sent       http.Header // the reader's header, set with the status
	err        error       // before a status: why there is none; after it: why the body is not complete
	body       []byte      // written and not read yet
	proxyError error       // set by Fail
	ended      bool        // nothing more will be written
	closed     bool        // the reader has closed the body
}

// New returns an Answer to r.
func New(r *http.Request) *Answer {
	a := &Answer{request: r, header: make(http.Header), begun: make(chan struct{})}
	a.changed.L = &a.mu
	return a
}

// Serve lets h answer r, which is a's request or derived from it, in the caller's goroutine. w is a, or a
// wrapper of it. The context that h has ends when the reader closes the body: it is a client that leaves.
func (a *Answer) Serve(w http.ResponseWriter, h http.Handler, r *http.Request) {
	ctx, leave := context.WithCancel(r.Context())
	a.leave = leave
	defer func() {
		defer leave()
		cause := recover()
		switch {
		case cause == nil:
			a.end(a.proxyError)
		case cause == http.ErrAbortHandler:
			a.end(abortError(r.Context()))
		default: // a panic in this goroutine would end the process
			a.end(fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
		}
	}()
	h.ServeHTTP(w, r.WithContext(ctx))
}

// abortError returns why an answer was aborted: the client has left, the time was over, or the answer
// ended early.
func abortError(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// Wait returns the answer when its header is complete, or the error instead.
func (a *Answer) Wait() (*http.Response, error) {
	<-a.begun
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.status == 0 {
		return nil, a.err
	}
	res := &http.Response{
		Status: strconv.Itoa(a.status) + " " + http.StatusText(a.status), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.sent, Body: (*answerBody)(a), ContentLength: -1, Request: a.request,
	}
	if n, err := strconv.ParseInt(a.sent.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		res.ContentLength = n
	}
	return res, nil
}

// Header implements http.ResponseWriter.
func (a *Answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *Answer) WriteHeader(status int) {
	if status < http.StatusOK {
		a.interim(status)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.status != 0 {
		return
	}
	a.status, a.sent = status, a.header.Clone()                                            // writer and reader have a header each
	maps.DeleteFunc(a.sent, func(_ string, values []string) bool { return values == nil }) // nil values tell net/http not to add the field
	close(a.begun)
}

// interim passes an interim header on, as http.Transport does.
func (a *Answer) interim(status int) {
	trace := httptrace.ContextClientTrace(a.request.Context())
	if trace == nil || trace.Got1xxResponse == nil {
		return
	}
	_ = trace.Got1xxResponse(status, textproto.MIMEHeader(a.header.Clone())) // an error ends the request, which the handler notices itself
}

// Write implements http.ResponseWriter.
func (a *Answer) Write(p []byte) (n int, err error) {
	a.WriteHeader(http.StatusOK) // unless there is a status
	a.mu.Lock()
	defer a.mu.Unlock()
	for n < len(p) {
		for len(a.body) >= answerBuffer && !a.closed {
			a.changed.Wait()
		}
		if a.closed {
			return n, errAnswerClosed
		}
		part := p[n:min(len(p), n+answerBuffer-len(a.body))]
		a.body = append(a.body, part...)
		n += len(part)
		a.changed.Broadcast()
	}
	return n, nil
}

var errAnswerClosed = errors.New("the reader has closed the answer")

// FlushError is for http.ResponseController. Written bytes can be read at once.
func (a *Answer) FlushError() error { return nil }

// Fail makes Wait return err in place of an answer, when the handler has returned. Nothing must have been
// written.
func (a *Answer) Fail(err error) { a.proxyError = err }

// end ends the answer, with err if it is not complete.
func (a *Answer) end(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return
	}
	a.ended, a.err = true, err
	a.changed.Broadcast()
	if a.status != 0 {
		return
	}
	if err == nil {
		a.err = io.ErrUnexpectedEOF // the handler wrote nothing
	}
	close(a.begun)
}

// answerBody is the body for the reader.
type answerBody Answer

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.body) == 0 && !b.ended && !b.closed {
		b.changed.Wait()
	}
	switch {
	case b.closed:
		return 0, http.ErrBodyReadAfterClose
	case len(b.body) > 0:
		n := copy(p, b.body)
		b.body = append(b.body[:0], b.body[n:]...)
		b.changed.Broadcast()
		return n, nil
	case b.err != nil:
		return 0, b.err
	}
	return 0, io.EOF
}

// Close implements io.Closer.
func (b *answerBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.changed.Broadcast()
	if b.leave != nil { // a handler without Serve has a context of its own
		b.leave()
	}
	return nil
}

// Interface guard
var _ http.ResponseWriter = (*Answer)(nil)

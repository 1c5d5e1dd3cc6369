// Package roundtrip turns an http.Handler into what an http.RoundTripper needs: the answer that
// the one writes is read by the other while it is written.
//
// What always holds: a writer is ahead of its reader by 32 KiB at most; an answer that the
// handler has not ended cleanly ends with an error for the reader.
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

// answerBuffer is how much of a body may wait in an answer, in bytes. What is more is the
// handler's to hold, in memory or in a file.
const answerBuffer = 32 << 10

// Answer is an http.ResponseWriter on one side, and an http.Response with its body on the
// other.
type Answer struct {
	request *http.Request
	header  http.Header   // the writer's
	begun   chan struct{} // closed when there is a status, or an error instead of it

	mu      sync.Mutex
	changed sync.Cond
	status  int         // 0: not yet
	sent    http.Header // the reader's, when there is a status
	err     error       // instead of a status; after it, why the body is not complete
	body    []byte      // written, and not read
	failed  error       // what Fail was given
	ended   bool        // nothing more will be written
	left    bool        // nobody reads any more
}

// New returns an Answer to r.
func New(r *http.Request) *Answer {
	a := &Answer{request: r, header: make(http.Header), begun: make(chan struct{})}
	a.changed.L = &a.mu
	return a
}

// Serve has h answer r, which is a's request or made of it, in the goroutine of the caller. w is
// a, or what the caller has made of it.
func (a *Answer) Serve(w http.ResponseWriter, h http.Handler, r *http.Request) {
	defer func() {
		cause := recover()
		switch {
		case cause == nil:
			a.end(a.failed)
		case cause == http.ErrAbortHandler:
			a.end(cut(r.Context()))
		default: // in this goroutine it would end the process
			a.end(fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
		}
	}()
	h.ServeHTTP(w, r)
}

// cut is why an answer was not ended: because nobody waits for it, its time was up, or it
// broke off.
func cut(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// Wait returns the answer as soon as its header is there, or the error that there is instead.
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
	a.status, a.sent = status, a.header.Clone()                                            // both sides go on with what they have
	maps.DeleteFunc(a.sent, func(_ string, values []string) bool { return values == nil }) // a handler's word for: do not guess
	close(a.begun)
}

// interim passes an interim header on as http.Transport does.
func (a *Answer) interim(status int) {
	trace := httptrace.ContextClientTrace(a.request.Context())
	if trace == nil || trace.Got1xxResponse == nil {
		return
	}
	_ = trace.Got1xxResponse(status, textproto.MIMEHeader(a.header.Clone())) // it could end the request, which the handler does itself
}

// Write implements http.ResponseWriter.
func (a *Answer) Write(p []byte) (n int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n < len(p) {
		for len(a.body) >= answerBuffer && !a.left {
			a.changed.Wait()
		}
		if a.left {
			return n, errNobodyReads
		}
		part := p[n:min(len(p), n+answerBuffer-len(a.body))]
		a.body = append(a.body, part...)
		n += len(part)
		a.changed.Broadcast()
	}
	return n, nil
}

var errNobodyReads = errors.New("the reader has closed the answer")

// FlushError is for http.ResponseController: what was written can be read already.
func (a *Answer) FlushError() error { return nil }

// Fail has Wait return err, when the handler has returned, in place of an answer. Nothing was
// written yet.
func (a *Answer) Fail(err error) { a.failed = err }

// end says that nothing more comes: because of err, if that is not nil.
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
		a.err = io.ErrUnexpectedEOF // a handler that wrote nothing
	}
	close(a.begun)
}

// answerBody is the body as the reader has it.
type answerBody Answer

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.body) == 0 && !b.ended && !b.left {
		b.changed.Wait()
	}
	switch {
	case b.left:
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
	b.left = true
	b.changed.Broadcast()
	return nil
}

// Interface guard
var _ http.ResponseWriter = (*Answer)(nil)

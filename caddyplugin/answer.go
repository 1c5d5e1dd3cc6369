package caddyplugin

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

	"github.com/sluice-proxy/sluice/bridge"
)

// answerBuffer is how much of a body may wait in an answer, in bytes. What is more is the
// bridge's to hold, in memory or in a file.
const answerBuffer = 32 << 10

// answer is what the bridge writes and reverse_proxy reads: an http.ResponseWriter on one
// side, an http.Response and its body on the other.
type answer struct {
	request  *http.Request
	sendfile bool          // reverse_proxy acts on X-Sendfile and the like
	header   http.Header   // the writer's
	begun    chan struct{} // closed when there is a status, or an error instead of it

	mu      sync.Mutex
	changed sync.Cond
	status  int         // 0: not yet
	sent    http.Header // the reader's, when there is a status
	err     error       // instead of a status; after it, why the body is not complete
	body    []byte      // written, and not read
	failed  error       // what the bridge left to the proxy
	ended   bool        // nothing more will be written
	left    bool        // nobody reads any more
}

func newAnswer(r *http.Request) *answer {
	a := &answer{request: r, header: make(http.Header), begun: make(chan struct{})}
	a.changed.L = &a.mu
	return a
}

// serve has h answer r, in a goroutine of its own.
func (a *answer) serve(h http.Handler, r *http.Request) {
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
	h.ServeHTTP(a, r)
}

// cut is why an answer was not ended: because nobody waits for it, its time was up, or it
// broke off.
func cut(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// wait returns the answer as soon as its header is there.
func (a *answer) wait() (*http.Response, error) {
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
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
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
	maps.DeleteFunc(a.sent, func(_ string, values []string) bool { return values == nil }) // the bridge's word for: do not guess
	close(a.begun)
}

// interim passes an interim header on as http.Transport does: reverse_proxy waits for it.
func (a *answer) interim(status int) {
	trace := httptrace.ContextClientTrace(a.request.Context())
	if trace == nil || trace.Got1xxResponse == nil {
		return
	}
	_ = trace.Got1xxResponse(status, textproto.MIMEHeader(a.header.Clone())) // it could end the request, which the bridge does itself
}

// ActsOnSendfile implements bridge.SendfileWriter.
func (a *answer) ActsOnSendfile() bool { return a.sendfile }

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (n int, err error) {
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

var errNobodyReads = errors.New("the proxy has closed the answer")

// FlushError is for http.ResponseController: what was written can be read already.
func (a *answer) FlushError() error { return nil }

// WriteError implements bridge.ErrorWriter. A refusal stays an answer, with its
// Retry-After; other errors are the proxy's to act on.
func (a *answer) WriteError(status int, err error) bool {
	if status < http.StatusInternalServerError || status == http.StatusServiceUnavailable {
		return false
	}
	a.failed = failure(status, err, replayable(a.request)) // told when the bridge has done with the request
	return true
}

// end says that nothing more comes: because of err, if that is not nil.
func (a *answer) end(err error) {
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
		a.err = io.ErrUnexpectedEOF // a handler that wrote nothing, which the bridge is not
	}
	close(a.begun)
}

// answerBody is the body as reverse_proxy reads it.
type answerBody answer

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

// Interface guards
var (
	_ http.ResponseWriter = (*answer)(nil)
	_ bridge.ErrorWriter  = (*answer)(nil)

	_ bridge.SendfileWriter = (*answer)(nil)
)

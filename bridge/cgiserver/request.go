package cgiserver

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// errAborted is why a body ends early.
var errAborted = errors.New("the web server has aborted the request, or closed the connection")

// request is one call of the handler.
type request struct {
	server *Server
	link   *link
	frame  framer
	in     *stdin
	ctx    context.Context
	cancel context.CancelFunc
	ending func() // called before the end of the answer is sent: the id may be used again after that

	aborted atomic.Bool // the web server does not want the rest of the answer, nor miss it
}

func newRequest(s *Server, l *link, f framer, ending func()) *request {
	ctx, cancel := context.WithCancel(s.BaseContext)
	return &request{server: s, link: l, frame: f, in: newStdin(), ctx: ctx, cancel: cancel, ending: ending}
}

// abort ends the context, and the reading of the body.
func (q *request) abort() {
	q.cancel()
	q.in.end(errAborted)
}

// result is what became of an answer.
type result uint8

const (
	answered  result = iota // whole
	closes                  // whole, and the handler wants the connection to end
	truncated               // the answer has begun and is not complete
)

// run has the handler answer r, or answers with a status if the request was refused. It does
// not end a truncated answer.
func (q *request) run(r *http.Request, refused int) result {
	defer q.cancel()
	w := newResponse(q.link, q.frame, q.in, r, q.server.ForwardStderr)
	defer w.release()
	if refused != 0 {
		_ = q.in.Close() // always nil
		q.ending()
		w.fail(refused)
		return answered
	}
	ok := q.call(w, r)
	_ = q.in.Close() // always nil
	whole := ok && w.complete()
	if w.writeFail != nil || !whole && w.flushed && !q.aborted.Load() {
		return truncated
	}
	q.ending()
	switch {
	case whole:
		w.finish()
	case w.flushed:
		w.abandon()
	default:
		w.fail(http.StatusBadGateway)
	}
	if w.closes {
		return closes
	}
	return answered
}

// call calls the handler, and reports whether it has returned.
func (q *request) call(w http.ResponseWriter, r *http.Request) (returned bool) {
	defer func() {
		if returned {
			return
		}
		if p := recover(); p != http.ErrAbortHandler {
			q.server.Logger.Error("panic in a handler", "panic", p, "method", r.Method, "path", r.URL.Path, "stack", string(debug.Stack()), "advice", "this is a fault of the program: report it with the stack")
		}
	}()
	q.server.Handler.ServeHTTP(w, r)
	return true
}

// incoming makes a request of its variables. The status is that of an answer to one that cannot
// be understood.
func (q *request) incoming(v *cgi.Received) (r *http.Request, refused int) {
	r, err := v.Request(q.ctx)
	if err != nil {
		q.server.Logger.Debug("a request was refused", "error", err.Error())
		return nil, http.StatusBadRequest
	}
	switch {
	case v.Authorizer || r.ContentLength == 0:
		r.ContentLength = 0
	case r.ContentLength < 0:
		r.Body = q.in
	default:
		r.Body = &body{q.in, r.ContentLength}
	}
	return r, 0
}

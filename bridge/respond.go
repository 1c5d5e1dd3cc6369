package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
)

// relayBuffer is how much goes from the spool to the client at a time, in bytes, if there
// is memory for it.
const relayBuffer = 64 << 10

// heldBack is what net/http keeps of a body until the handler has returned, in
// bytes: writing less never waits for the client.
const heldBack = 2 << 10

// respond sends the client an answer that is here whole.
func (x *exchange) respond(resp cgi.Response, body []byte) error {
	if x.bodyless(resp.Status) {
		x.writeHeader(resp.Status)
		return nil
	}
	switch length := int64(len(body)); {
	case resp.ContentLength > length:
		return &appError{errIncomplete, fmt.Errorf("the application announced %d bytes and ended its answer after %d", resp.ContentLength, length)}
	case resp.ContentLength >= 0 && resp.ContentLength < length:
		x.surplus(resp.ContentLength)
		body = body[:resp.ContentLength]
	case resp.ContentLength < 0:
		x.w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	x.writeHeader(resp.Status)
	if len(body) == 0 {
		return nil
	}
	return x.writeWhole(body)
}

// stream sends the client an answer while it arrives. What the client is too
// slow for waits in a spool.Pipe, so the application is read at its own pace,
// and the worker is free when it has finished. When the client has been sent all
// there is, it is flushed to the network: a record the application flushed
// reaches the client.
func (x *exchange) stream(resp cgi.Response, first []byte) (err error) {
	to := x.clientWriter()
	to.extend()
	defer func() { to.done(err) }()
	x.writeHeader(resp.Status)
	limit := resp.ContentLength
	if x.bodyless(resp.Status) {
		limit = 0
	}

	owner := spool.Owner{Client: spool.ClientOf(x.client.Addr), Cutter: to}
	pipe := x.b.newPipe(owner, x.held.lease)
	ctx, leave := context.WithCancel(x.r.Context())
	rv := &receiver{x: x, held: x.held.take(), content: x.content, pipe: pipe, done: make(chan struct{})}
	rv.held.watch(ctx)
	go rv.run()
	defer func() {
		leave()
		pipe.Close()
		<-rv.done
	}()
	err = x.relay(to, pipe, first, limit)
	if err != nil && to.cut.Load() {
		err = spool.ErrCut // and not that writing took too long
	}
	return err
}

// sharedPatience is how long the rest of an answer on a shared connection may find no
// room in the spool. Then it is given up: it must not hold up others.
const sharedPatience = 100 * time.Millisecond

// newPipe returns what holds the part of an answer that the client is too slow for.
func (b *backend) newPipe(owner spool.Owner, lease *pool.Lease) *spool.Pipe {
	if lease.Shared() {
		return b.spool.Load().NewImpatientPipe(owner, sharedPatience)
	}
	return b.spool.Load().NewPipe(owner)
}

// relay copies first and what comes through pipe to the client: all of it, or limit
// bytes if limit is not negative.
func (x *exchange) relay(to *clientWriter, pipe *spool.Pipe, first []byte, limit int64) error {
	buf := pipe.Scratch()
	defer buf.Free()
	left := limit
	send := func(p []byte) error {
		if limit >= 0 && int64(len(p)) > left {
			if !x.bodyless(x.out.Status) {
				x.surplus(limit)
			}
			p = p[:left]
		}
		left -= int64(len(p))
		if len(p) == 0 {
			return nil
		}
		to.extend()
		return x.write(p)
	}
	if err := send(first); err != nil {
		return err
	}
	x.lendAnswer()
	for {
		if pipe.Len() == 0 {
			if err := to.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return &clientError{err}
			}
		}
		if limit >= 0 && left == 0 {
			return nil // the client has it all, whenever the application ends
		}
		n, err := pipe.Read(buf.Bytes())
		if err := send(buf.Bytes()[:n]); err != nil {
			return err
		}
		if n == len(buf.Bytes()) {
			buf.Grow(relayBuffer)
		}
		switch {
		case err == io.EOF && limit > 0:
			return &appError{errIncomplete, fmt.Errorf("the application announced %d bytes and ended its answer after %d", limit, limit-left)}
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// receiver reads the application's answer into a pipe, in a goroutine of its own.
type receiver struct {
	x       *exchange // read only
	held    *hold
	content content
	pipe    *spool.Pipe
	done    chan struct{}
	told    bool // the pipe has ended before the application has
}

func (rv *receiver) run() {
	defer close(rv.done)
	err := rv.copy()
	if errors.Is(err, pool.ErrInterrupted) {
		err = rv.held.interruption(rv.x.r.Context())
	}
	rv.x.noteGiven(rv.held, &rv.content)
	rv.x.b.end(rv.held, err)
	rv.pipe.CloseWrite(err)
}

func (rv *receiver) copy() error {
	stderr := rv.x.b.stderrOf(rv.x.r.URL.Path, rv.held.lease.Addr())
	defer stderr.End()
	pause := time.Duration(rv.x.b.cfg.Timeouts.BetweenBytes)
	for {
		// END_REQUEST comes with the end of the content, or the client does not wait for it.
		last := rv.content.length < 0 && rv.content.whole() && !rv.told
		wait := pause
		if last {
			wait = gatherFor
		}
		rv.held.given = rv.content.whole()
		ev, err := rv.held.next(rv.x.within(time.Now().Add(wait)))
		switch {
		case err == nil:
		case last && errors.Is(err, os.ErrDeadlineExceeded):
			rv.told = true
			rv.pipe.CloseWrite(nil)
			continue
		case rv.held.given && !rv.held.lease.AtWork():
			return nil // the answer is complete, however the application has ended
		default:
			return err
		}
		switch ev.Type {
		case fcgi.TypeStderr:
			_, _ = stderr.Write(ev.Data)
		case fcgi.TypeStdout:
			if err := rv.pass(ev.Data); err != nil {
				return err
			}
		case fcgi.TypeEndRequest:
			return rv.content.end()
		}
	}
}

// pass puts the content of a piece of STDOUT into the pipe.
func (rv *receiver) pass(p []byte) error {
	x := rv.x
	if rv.told && rv.content.closed && len(p) > 0 {
		x.b.logResumed(x.r.URL.Path, x.out.Instance, true)
		return &appError{errProtocol, errors.New("the application goes on after an empty STDOUT record")}
	}
	x.b.noteEnd(&rv.content, p, x.r.URL.Path, x.out.Instance)
	for len(p) > 0 {
		data, rest, err := rv.content.next(p)
		if err != nil {
			return err
		}
		if p = rest; len(data) == 0 {
			continue // of chunks there may be nothing in it
		}
		if _, err := rv.pipe.Write(data); err != nil {
			return err
		}
	}
	return nil
}

// bodyless reports whether the client expects no body whatever the header says.
func (x *exchange) bodyless(status int) bool {
	return x.r.Method == http.MethodHead || hasNoBody(status)
}

// hasNoBody reports statuses that are answers without content (RFC 9110, section 6.4.1, and
// 15.3.6 for 205).
func hasNoBody(status int) bool {
	return status == http.StatusNoContent || status == http.StatusResetContent || status == http.StatusNotModified
}

func (x *exchange) writeHeader(status int) {
	h := x.w.Header()
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // net/http must not guess where the application did not say
	}
	switch status {
	case http.StatusNoContent:
		h.Del("Content-Length")
	case http.StatusResetContent:
		h["Content-Length"] = []string{"0"} // or net/http would announce chunks
	}
	x.endConnection(h)
	x.out.Status = status
	x.w.WriteHeader(status)
}

// writeWhole sends the body of an answer that is here whole.
func (x *exchange) writeWhole(p []byte) error {
	if len(p) <= heldBack {
		return x.write(p)
	}
	to := x.clientWriter()
	to.extend()
	err := x.write(p)
	to.done(err)
	return err
}

func (x *exchange) write(p []byte) error {
	n, err := x.w.Write(p)
	x.out.BytesOut += int64(n)
	if err != nil {
		return &clientError{err}
	}
	return nil
}

// surplus reports that the application wrote more than it announced. What it
// announced is what the client gets, as with other servers.
func (x *exchange) surplus(announced int64) {
	if !x.surplusLogged {
		x.surplusLogged = true
		x.b.logSurplus(x.r.URL.Path, x.out.Instance, announced)
	}
}

func (b *Bridge) logSurplus(path, instance string, announced int64) {
	b.cfg.Logger.Warn("the application wrote more than its Content-Length; the rest was dropped",
		"path", path, "instance", instance, "content_length", announced)
}

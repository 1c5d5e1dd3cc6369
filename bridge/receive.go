package bridge

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/lines"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

const (
	// gatherFor is how long an answer that has begun is collected before what
	// there is goes to the client. Most answers end sooner, and then their worker
	// is free before the client is sent a byte.
	gatherFor = 5 * time.Millisecond
	// watchAfter is how long an application may take to answer before its client is
	// watched for leaving. Most answers come sooner, also on a busy machine, and the
	// watch costs as much as reading them.
	watchAfter = 25 * time.Millisecond
	// ignoredAfter is how long a request on a kept connection may stay unread before it is
	// sent elsewhere, if it is seen not to be read.
	ignoredAfter = 400 * time.Millisecond
	// gatherMax is how much is collected at most, in bytes, header included.
	gatherMax = 64 << 10
	// blankMax is how much white space is not taken for a body, in bytes.
	blankMax = 1 << 10
)

// receive reads the answer and gives it to the client. Until the client is sent
// the first byte, its errors may lead to another attempt. The target of a local redirect
// is returned.
func (x *exchange) receive() (target *url.URL, err error) {
	stderr := x.b.stderrOf(x.r.URL.Path, x.held.lease.Addr())
	defer stderr.End()
	resp, header, err := x.receiveHeader(&stderr)
	if err != nil {
		return nil, err
	}
	x.out.FirstByte = time.Since(x.sentAt)
	x.held.asked.answered(x.held.lease.Addr())
	if resp.LocalRedirect != "" {
		if target, err = x.followed(resp.LocalRedirect, header, &stderr); target != nil || err != nil {
			return target, err
		}
	}
	if resp.Sendfile {
		if sent, err := x.sendfile(&resp, header, &stderr); sent || err != nil {
			return nil, err
		}
	}
	x.adopt()
	if resp.Streaming && isEventStream(x.w.Header()) {
		x.held.ticket.Streaming()
	}
	if !resp.Streaming {
		if err := x.gather(&stderr); err != nil {
			return nil, err
		}
	}
	body := x.answer[header:]
	if !x.over && (resp.Streaming || !x.content.whole()) {
		return nil, x.stream(resp, body)
	}
	x.letGo()
	return nil, x.respond(resp, body)
}

// receiveHeader collects the answer up to the end of the CGI header at least. It returns
// where in x.answer the content begins. Interim headers are dealt with.
func (x *exchange) receiveHeader(stderr *lines.Source) (resp cgi.Response, length int, err error) {
	x.borrowAnswer()
	x.answer, x.over, x.interimAt = x.answer[:0], false, time.Time{}
	limit := x.b.cfg.MaxResponseHeader
	begin, searched := 0, 0 // of the header at hand
	for {
		ev, err := x.awaitFirst()
		if err != nil {
			return resp, 0, err
		}
		switch {
		case ev.Kind == upstream.Log:
			_, _ = stderr.Write(ev.Data)
			continue
		case ev.Kind == upstream.End:
			return resp, 0, &appError{errIncomplete, fmt.Errorf("the application ended its answer after %d bytes of header (its log may say why)", len(x.answer)-begin)}
		}
		x.answer = append(x.answer, ev.Data...)
		for {
			length := cgi.HeaderEnd(x.answer[begin:], searched)
			if begin+length > limit || length < 0 && len(x.answer) > limit {
				return resp, 0, &appError{errHeaderSize, fmt.Errorf("the application's response header is larger than max_response_header allows (%d bytes)", limit)}
			}
			if length < 0 {
				searched = len(x.answer) - begin
				break
			}
			if resp, err = x.parseHeader(x.answer[begin : begin+length]); err != nil {
				return resp, 0, err
			}
			begin, searched = begin+length, 0
			if resp.Status >= http.StatusOK {
				return resp, begin, x.beginContent(resp, begin)
			}
			x.interim(resp.Status)
		}
	}
}

// parseHeader sets x.said to what a header says.
func (x *exchange) parseHeader(block []byte) (cgi.Response, error) {
	x.forgetSaid()
	resp, err := cgi.ParseResponse(block, x.said)
	if err != nil {
		return resp, &appError{errProtocol, err}
	}
	if resp.Warning != "" {
		x.b.logHeader(x.r.URL.Path, x.out.Instance, resp.Warning)
	}
	return resp, nil
}

// beginContent makes content of what has come after the header.
func (x *exchange) beginContent(resp cgi.Response, at int) error {
	x.content = newContent(resp, x.bodyless(resp.Status))
	come := x.answer[at:]
	x.answer = x.answer[:at]
	return x.take(come)
}

// take adds a piece of the body to x.answer. It may be part of x.answer: content is no
// longer than what it was made of.
func (x *exchange) take(p []byte) error {
	for len(p) > 0 {
		data, rest, err := x.content.next(p)
		if err != nil {
			return err
		}
		x.answer, p = append(x.answer, data...), rest
	}
	return nil
}

// awaitFirst waits for the application's next output before its header is
// complete. Its time starts when it has been sent the request.
func (x *exchange) awaitFirst() (upstream.Event, error) {
	limit := time.Duration(x.b.cfg.Timeouts.FirstByte)
	if x.held.unwatch == nil {
		ev, err := x.held.next(x.within(x.sentAt.Add(watchAfter)))
		if !errors.Is(err, os.ErrDeadlineExceeded) || x.overdue() {
			return ev, err
		}
		x.held.watch(x.r.Context())
		if limit > ignoredAfter {
			if ev, err := x.awaitReading(); !errors.Is(err, os.ErrDeadlineExceeded) || x.overdue() {
				return ev, err
			}
		}
	}
	since := x.sentAt
	if !x.interimAt.IsZero() {
		since = x.interimAt
	}
	for {
		ev, err := x.held.next(x.within(since.Add(limit)))
		if x.held.sender == nil || !errors.Is(err, os.ErrDeadlineExceeded) || x.overdue() {
			return ev, err
		}
		sending, ended := x.held.sender.sending()
		switch {
		case sending:
			since = time.Now()
		case time.Since(ended) < limit:
			since = ended
		default:
			return ev, err
		}
	}
}

// awaitReading waits for output of an application that does not read the request, as long
// as that is seen. A time-out means that it takes its time, as far as can be seen.
func (x *exchange) awaitReading() (upstream.Event, error) {
	lease := x.held.lease
	for _, after := range [...]time.Duration{ignoredAfter / 2, ignoredAfter} {
		if !lease.RequestUnread() {
			return upstream.Event{}, os.ErrDeadlineExceeded
		}
		ev, err := x.held.next(x.within(x.sentAt.Add(after)))
		if !errors.Is(err, os.ErrDeadlineExceeded) || x.overdue() {
			return ev, err
		}
		if after < ignoredAfter {
			lease.ProbeServing()
		}
	}
	if lease.RequestUnread() {
		return upstream.Event{}, x.forsake()
	}
	return upstream.Event{}, os.ErrDeadlineExceeded
}

// forsake gives up a request that the application has not begun to read, if it may be sent
// again, and there is somewhere else to send it. Else it returns the time-out that there was.
func (x *exchange) forsake() error {
	if x.replayed || !idempotent(x.r.Method) || !x.body.replayable() {
		x.held.lease.NoteUnread()
	} else if err := x.held.lease.AbandonUnread(); err != nil {
		return err
	}
	return os.ErrDeadlineExceeded
}

// gather collects the rest of the answer as long as it comes at once.
func (x *exchange) gather(stderr *lines.Source) error {
	deadline := x.sentAt.Add(x.out.FirstByte + gatherFor)
	for !x.over && len(x.answer) < gatherMax {
		if err := x.more(stderr, deadline); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// more reads what comes next after the header. Once the answer is complete, an error is
// nothing but the application's end.
func (x *exchange) more(stderr *lines.Source, deadline time.Time) error {
	x.held.given = x.content.whole()
	ev, err := x.held.next(deadline)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case err != nil && x.held.given && x.r.Context().Err() == nil:
		x.over = true
		return nil
	case err != nil:
		return err
	}
	switch ev.Kind {
	case upstream.Log:
		_, _ = stderr.Write(ev.Data)
	case upstream.Output:
		x.b.noteEnd(&x.content, ev.Data, x.r.URL.Path, x.out.Instance)
		return x.take(ev.Data)
	case upstream.End:
		x.over = true
		return x.content.end()
	}
	return nil
}

// awaitBody waits until the body begins, and reports whether there is none. A line end
// too many after the header is no body.
func (x *exchange) awaitBody(header int, stderr *lines.Source) (none bool, err error) {
	for {
		switch blank := len(bytes.Trim(x.answer[header:], " \t\r\n")) == 0; {
		case !blank || len(x.answer)-header > blankMax:
			return false, nil
		case x.over || x.content.ended():
			return true, nil
		}
		err := x.more(stderr, x.within(time.Now().Add(time.Duration(x.b.cfg.Timeouts.BetweenBytes))))
		if err != nil {
			return false, err
		}
	}
}

// finish reads an answer's rest, which nobody will see, and lets the application go.
func (x *exchange) finish(header int, stderr *lines.Source) {
	deadline := time.Now().Add(gatherFor)
	for !x.over && x.more(stderr, deadline) == nil {
		x.answer = x.answer[:header]
	}
	x.letGo()
}

// errAnswered is why the application is not waited for any longer.
var errAnswered = errors.New("the answer is complete")

// letGo gives back what the exchange holds of the application: all of its answer is here.
// Its worker stays charged until it has ended the request.
func (x *exchange) letGo() {
	if !x.over {
		x.noteGiven(&x.held, &x.content)
	}
	x.b.end(&x.held, errAnswered)
}

// within returns the earlier of t and the end of the time the whole exchange has.
func (x *exchange) within(t time.Time) time.Time { return earlier(t, x.end) }

// overdue reports whether the exchange has used up its time.
func (x *exchange) overdue() bool { return !x.end.IsZero() && !time.Now().Before(x.end) }

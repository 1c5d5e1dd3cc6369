package bridge

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/internal/lines"
	"github.com/sluice-proxy/sluice/bridge/pool"
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
	// gatherMax is how much is collected at most, in bytes, header included.
	gatherMax = 64 << 10
)

// receive reads the answer and gives it to the client. Until the client is sent
// the first byte, its errors may lead to another attempt.
func (x *exchange) receive() (location string, err error) {
	stderr := x.b.stderrOf(x.r.URL.Path, x.held.lease.Addr())
	defer stderr.End()
	resp, header, err := x.receiveHeader(&stderr)
	if err != nil {
		return "", err
	}
	x.out.FirstByte = time.Since(x.sentAt)
	x.held.asked.answered(x.held.lease.Addr())
	if resp.Streaming && isEventStream(x.w.Header()) {
		x.held.ticket.Streaming()
	}
	if resp.LocalRedirect != "" {
		return resp.LocalRedirect, x.discard(&stderr)
	}
	ended := false
	if !resp.Streaming {
		if ended, err = x.gather(&stderr); err != nil {
			return "", err
		}
	}
	body := x.answer[header:]
	if ended {
		x.held.release()
		return "", x.respond(resp, body)
	}
	return "", x.stream(resp, body)
}

// receiveHeader collects the answer up to the end of the CGI header at least, and
// puts that into the client's. It returns the header's length in x.answer.
func (x *exchange) receiveHeader(stderr *lines.Source) (resp cgi.Response, length int, err error) {
	x.borrowAnswer()
	x.answer = x.answer[:0]
	limit := x.b.cfg.MaxResponseHeader
	for length = -1; length < 0; {
		ev, err := x.awaitFirst()
		if err != nil {
			return resp, 0, err
		}
		switch ev.Type {
		case fcgi.TypeStderr:
			_, _ = stderr.Write(ev.Data)
			continue
		case fcgi.TypeEndRequest:
			return resp, 0, &appError{errIncomplete, fmt.Errorf("the application ended its answer after %d bytes of header (its log may say why)", len(x.answer))}
		}
		searched := len(x.answer)
		x.answer = append(x.answer, ev.Data...)
		length = cgi.HeaderEnd(x.answer, searched)
		if length > limit || length < 0 && len(x.answer) > limit {
			return resp, 0, &appError{errHeaderSize, fmt.Errorf("the application's response header is larger than max_response_header allows (%d bytes)", limit)}
		}
	}
	x.parsed = true
	if resp, err = cgi.ParseResponse(x.answer[:length], x.w.Header()); err != nil {
		return resp, 0, &appError{errProtocol, err}
	}
	return resp, length, nil
}

// awaitFirst waits for the application's next output before its header is
// complete. Its time starts when it has been sent the request.
func (x *exchange) awaitFirst() (pool.Event, error) {
	if x.held.unwatch == nil {
		ev, err := x.held.next(x.within(x.sentAt.Add(watchAfter)))
		if !errors.Is(err, os.ErrDeadlineExceeded) || x.overdue() {
			return ev, err
		}
		x.held.watch(x.r.Context())
	}
	limit := time.Duration(x.b.cfg.Timeouts.FirstByte)
	since := x.sentAt
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

// gather collects the rest of the answer as long as it comes at once.
func (x *exchange) gather(stderr *lines.Source) (ended bool, err error) {
	deadline := x.sentAt.Add(x.out.FirstByte + gatherFor)
	for len(x.answer) < gatherMax {
		ev, err := x.held.next(deadline)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, nil
		case err != nil:
			return false, err
		}
		switch ev.Type {
		case fcgi.TypeStderr:
			_, _ = stderr.Write(ev.Data)
		case fcgi.TypeStdout:
			x.answer = append(x.answer, ev.Data...)
		case fcgi.TypeEndRequest:
			return true, nil
		}
	}
	return false, nil
}

// discard reads an answer's rest, which nobody will see, to its end.
func (x *exchange) discard(stderr *lines.Source) error {
	for {
		ev, err := x.held.next(x.within(time.Now().Add(time.Duration(x.b.cfg.Timeouts.BetweenBytes))))
		switch {
		case err != nil:
			return err
		case ev.Type == fcgi.TypeStderr:
			_, _ = stderr.Write(ev.Data)
		case ev.Type == fcgi.TypeEndRequest:
			return nil
		}
	}
}

// within returns the earlier of t and the end of the time the whole exchange has.
func (x *exchange) within(t time.Time) time.Time { return earlier(t, x.end) }

// overdue reports whether the exchange has used up its time.
func (x *exchange) overdue() bool { return !x.end.IsZero() && !time.Now().Before(x.end) }

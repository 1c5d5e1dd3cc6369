package exchange

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/content"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

const (
	// WatchAfter is how long an application may take to answer before its client is watched
	// for leaving. Most answers come sooner, also on a busy machine, and the watch costs as
	// much as reading them.
	WatchAfter = 25 * time.Millisecond
	// unreadAfter is how long a request on a kept connection may stay unread before it is
	// sent elsewhere, if it is seen not to be read.
	unreadAfter = 400 * time.Millisecond
)

// Happened reports the application's next event, or why there is none: the time is over
// (os.ErrDeadlineExceeded), the connection has ended, or the wait was interrupted.
func (x *Exchange) Happened(ev upstream.Event, err error) Wait {
	x.held.note(ev, err)
	return x.state(x, ev, err)
}

// await waits for an event until t, or the end of the exchange's time if that is earlier.
func (x *Exchange) await(t time.Time, state func(*Exchange, upstream.Event, error) Wait) Wait {
	x.state = state
	return Wait{For: Event, Until: x.within(t)}
}

// outOfPatience reports whether a wait has ended because its time was over, and the exchange
// has some left.
func (x *Exchange) outOfPatience(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && !x.overdue()
}

// awaitFirst waits for output before the header is complete. The client is not watched at
// first.
func (x *Exchange) awaitFirst() Wait {
	if !x.watched {
		return x.await(x.sentAt.Add(WatchAfter), (*Exchange).early)
	}
	return x.awaitLate()
}

func (x *Exchange) early(ev upstream.Event, err error) Wait {
	if !x.outOfPatience(err) {
		return x.headerEvent(ev, err)
	}
	x.watch()
	if time.Duration(x.site.Config.Timeouts.FirstByte) > unreadAfter && x.held.lease.RequestUnread() {
		return x.await(x.sentAt.Add(unreadAfter/2), (*Exchange).unread)
	}
	return x.awaitLate()
}

// unread is the state of a request that is seen not to be read by the application.
func (x *Exchange) unread(ev upstream.Event, err error) Wait {
	if !x.outOfPatience(err) {
		return x.headerEvent(ev, err)
	}
	x.held.lease.ProbeServing()
	if !x.held.lease.RequestUnread() {
		return x.awaitLate()
	}
	return x.await(x.sentAt.Add(unreadAfter), (*Exchange).stillUnread)
}

func (x *Exchange) stillUnread(ev upstream.Event, err error) Wait {
	if !x.outOfPatience(err) {
		return x.headerEvent(ev, err)
	}
	if !x.held.lease.RequestUnread() {
		return x.awaitLate()
	}
	if x.replayed || !x.repeatable() || !x.replayable() {
		x.held.lease.NoteUnread()
	} else if err := x.held.lease.AbandonUnread(); err != nil { // there is somewhere else to send it
		return x.attemptOver(err)
	}
	return x.awaitLate()
}

// awaitLate waits for as long as the application may take, from when it was sent the request
// or has sent an interim header.
func (x *Exchange) awaitLate() Wait {
	x.since = x.sentAt
	if !x.interimAt.IsZero() {
		x.since = x.interimAt
	}
	return x.awaitSince()
}

func (x *Exchange) awaitSince() Wait {
	return x.await(x.since.Add(time.Duration(x.site.Config.Timeouts.FirstByte)), (*Exchange).late)
}

// late: the time does not begin before the body was sent.
func (x *Exchange) late(ev upstream.Event, err error) Wait {
	if !x.outOfPatience(err) {
		return x.headerEvent(ev, err)
	}
	switch body := x.driver.Body(); {
	case !body.Separate:
		return x.headerEvent(ev, err)
	case body.SentAt.IsZero():
		x.since = x.driver.Now()
	case time.Since(body.SentAt) < time.Duration(x.site.Config.Timeouts.FirstByte):
		x.since = body.SentAt
	default:
		return x.headerEvent(ev, err)
	}
	return x.awaitSince()
}

// headerEvent collects the answer up to the end of the CGI header at least. Interim headers
// are dealt with.
func (x *Exchange) headerEvent(ev upstream.Event, err error) Wait {
	switch {
	case err != nil:
		return x.attemptOver(err)
	case ev.Kind == upstream.Log:
		x.complain(ev.Data)
		return x.awaitFirst()
	case ev.Kind == upstream.End:
		return x.attemptOver(&appError{ErrorIncomplete, fmt.Errorf("the application ended its answer after %d bytes of header (its log may say why)", len(x.answer)-x.begin)})
	}
	x.answer = append(x.answer, ev.Data...)
	limit := x.site.Config.MaxResponseHeader
	for {
		length := cgi.HeaderEnd(x.answer[x.begin:], x.searched)
		if x.begin+length > limit || length < 0 && len(x.answer) > limit {
			return x.attemptOver(&appError{ErrorHeaderSize, fmt.Errorf("the application's response header is larger than max_response_header allows (%d bytes)", limit)})
		}
		if length < 0 {
			x.searched = len(x.answer) - x.begin
			return x.awaitFirst()
		}
		if x.resp, err = x.parseHeader(x.answer[x.begin : x.begin+length]); err != nil {
			return x.attemptOver(err)
		}
		x.begin, x.searched = x.begin+length, 0
		if x.isUpgrade() {
			return x.upgrade()
		}
		if x.resp.Status >= http.StatusOK {
			x.header = x.begin
			return x.headerRead()
		}
		x.interim()
	}
}

// parseHeader sets x.Said to what a header says.
func (x *Exchange) parseHeader(block []byte) (cgi.Response, error) {
	x.forgetSaid()
	resp, err := x.app.Codec().ParseHeader(block, x.Said)
	if err != nil {
		return resp, &appError{ErrorProtocol, err}
	}
	if resp.Warning != "" {
		x.site.logHeader(x.client.Path(), x.Out.Instance, resp.Warning)
	}
	if x.asking && resp.Status == http.StatusOK && !x.inHTTP() {
		if err := x.parseVariables(block, resp.Warning); err != nil {
			return resp, &appError{ErrorProtocol, err}
		}
	}
	return resp, nil
}

// interim deals with an interim header: Early Hints (RFC 8297) are the client's, and the
// others are between the application and whoever passes its answer on. The application has
// said something, and has as long as before to go on.
func (x *Exchange) interim() {
	x.interimAt = x.driver.Now()
	if x.resp.Status != http.StatusEarlyHints || x.client.HTTP10() || x.asking || x.continues() {
		return // in a stream that goes on, the client would take it for content
	}
	x.dropSendfile()
	x.client.Interim(x.resp.Status, x.Said)
}

// headerRead goes on with an answer whose header has come, and perhaps more.
func (x *Exchange) headerRead() Wait {
	if x.saysIdle() {
		return x.attemptOver(&appError{ErrorIncomplete, &pool.Error{
			Op: "answer", Addr: x.Out.Instance, Err: errIdleTimeout, Replay: pool.ReplayIdempotent,
		}})
	}
	x.content = content.Of(x.resp, x.bodyless(x.resp.Status))
	come := x.answer[x.header:]
	x.answer = x.answer[:x.header]
	if err := x.take(come); err != nil {
		return x.attemptOver(err)
	}
	x.Out.FirstByte = x.driver.Now().Sub(x.sentAt)
	x.held.answered()
	if x.tells && !x.asking {
		return x.finish((*Exchange).told)
	}
	if x.isInstructed() {
		return x.awaitOrder()
	}
	x.renewed()
	if x.resp.LocalRedirect != "" {
		x.Said["Location"] = []string{x.resp.LocalRedirect} // as it should be, if it is the client's
		if !x.asking && x.client.FindTarget(x.resp.LocalRedirect) {
			return x.awaitBody((*Exchange).follow)
		}
	}
	if x.asking {
		return x.decided()
	}
	if x.resp.Sendfile {
		return Wait{For: Open}
	}
	return x.adopt()
}

// errIdleTimeout is a 408 on a kept connection.
var errIdleTimeout = errors.New("the application has ended a kept connection with a 408")

// saysIdle reports whether an answer is that of a server which closes a connection that was
// unused for too long: it may have been sent before the server has seen the request (RFC 9110,
// section 15.5.9). The request is sent once more, on a new connection.
func (x *Exchange) saysIdle() bool {
	return x.resp.Status == http.StatusRequestTimeout && x.Out.Reused && !x.replayed && x.replayable() &&
		x.repeatable() && x.app.Codec().TakesHTTP()
}

// follow follows a local redirect. One with a body is the client's.
func (x *Exchange) follow(none bool) Wait {
	if !none {
		return x.adopt()
	}
	return x.finish((*Exchange).redirect)
}

// adopt makes what the application's header says the client's. From now on the request is
// not sent again.
func (x *Exchange) adopt() Wait {
	x.merge()
	if x.resp.Streaming {
		if isEventStream(x.client.Header()) {
			x.held.ticket.Streaming()
		}
		return x.collected()
	}
	return x.gather()
}

// merge adds the application's header to that of the front.
func (x *Exchange) merge() {
	x.adopted = true
	if room := x.client.TakeHeader(x.Said); room != nil {
		x.Said = room
		return
	}
	h := x.client.Header()
	for name, values := range x.Said {
		if before := h[name]; len(before) > 0 && !cgi.IsSingle(name) {
			values = slices.Concat(before, values)
		}
		h[name] = values
	}
}

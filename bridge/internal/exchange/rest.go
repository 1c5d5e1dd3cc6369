package exchange

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/content"
	"github.com/sluice-proxy/sluice/bridge/internal/lines"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Output is where the content of an answer goes while it arrives. Write may wait for room.
// CloseWrite ends the content; if its error is not nil, the content is not complete.
type Output interface {
	io.Writer
	CloseWrite(err error)
}

// Rest receives the rest of an answer that the client is sent while it arrives, in step with
// the application and not with the client. It may be driven beside the exchange.
type Rest struct {
	x       *Exchange // read only
	hold    *Hold
	content content.Content
	stderr  *lines.Source // nil: nothing has come of it
	out     Output
	last    bool // what is waited for is only the end of the request
	told    bool // out has ended before the application has
	ended   time.Time
}

// relay has the client sent an answer while it arrives. The hold is the Rest's.
func (x *Exchange) relay(first []byte) Wait {
	x.setHead(nil)
	x.encoder = x.newEncoder(x.resp.ContentLength, false)
	x.First = first
	x.Rest = &Rest{x: x, hold: x.held.take(), content: x.content, stderr: x.stderr}
	x.stderr, x.watched = nil, false
	return Wait{For: Relay}
}

// FirstSent lends the memory of First, which was sent, to others.
func (x *Exchange) FirstSent() {
	x.First = nil
	x.lendAnswer()
}

// Relayed reports that the client was sent the answer, or why it was not.
func (x *Exchange) Relayed(err error) Wait {
	x.releaseEncoder()
	ended := x.Rest.ended
	if ended.IsZero() { // the client has left before
		ended = time.Now()
	}
	x.Out.Answer = x.sinceHeader(ended)
	if err != nil {
		return x.attemptOver(err)
	}
	return Wait{}
}

// Limit is how much of the content the client may be sent, in bytes, -1 for all.
func (x *Exchange) Limit() int64 {
	if x.bodyless(x.Out.Status) {
		return 0
	}
	return x.resp.ContentLength
}

// Exceeded notes that there is more content than Limit.
func (x *Exchange) Exceeded() {
	if !x.bodyless(x.Out.Status) {
		x.noteSurplus(x.resp.ContentLength)
	}
}

// Ended returns the error for content that has ended after so many bytes, if any.
func (x *Exchange) Ended(come int64) error {
	if limit := x.Limit(); come < limit {
		return incomplete(limit, come)
	}
	return nil
}

// Begin says where the content goes.
func (r *Rest) Begin(out Output) { r.out = out }

// Until is how long to wait for the next event. The end of the request comes with the end of
// the content, or the client does not wait for it.
func (r *Rest) Until() time.Time {
	r.last = r.content.Length < 0 && r.content.Whole() && !r.told
	if r.last {
		return r.x.within(time.Now().Add(r.x.Gathers()))
	}
	return r.x.within(time.Now().Add(time.Duration(r.x.site.Config.Timeouts.BetweenBytes)))
}

// Happened reports what the wait has brought. Once it returns that this was the last event,
// with the error there is, the driver calls Over. Several events may have come for one wait.
func (r *Rest) Happened(ev upstream.Event, err error) (over bool, _ error) {
	r.hold.given = r.content.Whole()
	r.hold.note(ev, err)
	switch {
	case err == nil:
	case r.last && errors.Is(err, os.ErrDeadlineExceeded):
		r.told = true
		r.out.CloseWrite(nil)
		return false, nil
	case r.hold.given && !r.hold.lease.AtWork():
		return true, nil // the answer is complete, however the application has ended
	default:
		return true, err
	}
	switch ev.Kind {
	case upstream.Log:
		if r.stderr == nil {
			r.stderr = r.x.newStderr(r.hold.lease.Addr())
		}
		_, _ = r.stderr.Write(ev.Data)
	case upstream.Output:
		err := r.pass(ev.Data)
		return err != nil, err
	case upstream.End:
		if err := r.content.End(); err != nil {
			return true, &appError{ErrorIncomplete, err}
		}
		return true, nil
	}
	return false, nil
}

// pass passes on the content of a piece of output.
func (r *Rest) pass(p []byte) error {
	x := r.x
	if r.told && r.content.Closed && len(p) > 0 {
		x.site.logResumed(x.app, x.client.Path(), x.Out.Instance, true)
		return &appError{ErrorProtocol, errors.New("the application goes on after an empty STDOUT record")}
	}
	x.noteEnd(&r.content, p)
	for len(p) > 0 {
		data, rest, err := r.content.Next(p)
		if err != nil {
			return &appError{ErrorProtocol, err}
		}
		if p = rest; len(data) == 0 {
			continue // of chunks there may be nothing in it
		}
		if _, err := r.out.Write(data); err != nil {
			return err
		}
	}
	return nil
}

// Over ends the content, after the driver has ended what runs beside the attempt, and gives
// back what is held of the application. If the application is still at work, it returns the
// hold that must be abandoned.
func (r *Rest) Over(err error) (abandoned *Hold) {
	r.ended = time.Now()
	r.stderr.End()
	r.x.noteGiven(r.hold, &r.content)
	abandoned = r.hold.settle(err)
	r.out.CloseWrite(err)
	return abandoned
}

package exchange

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/content"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

const (
	// GatherFor is how long an answer that has begun is collected at least before what there is
	// goes to the client. Most answers end sooner, and then their worker is free before the client
	// is sent a byte.
	GatherFor = 5 * time.Millisecond
	// gatherMost is the same at most. A busy application needs longer for the rest as it did for
	// the beginning, and a client that has waited for that hardly notices.
	gatherMost = 25 * time.Millisecond
	// gatherMax is how much is collected at most, in bytes, header included.
	gatherMax = 64 << 10
	// blankMax is how much white space is not taken for a body, in bytes.
	blankMax = 1 << 10
)

// HasAnswer reports whether anything of the answer has come.
func (x *Exchange) HasAnswer() bool { return len(x.answer) > 0 }

// Gathers is how long this answer is collected: for as long as its beginning took, within
// limits.
func (x *Exchange) Gathers() time.Duration {
	if x.resp.Streaming {
		return GatherFor
	}
	return min(max(GatherFor, x.Out.FirstByte), gatherMost)
}

// take adds a piece of the content to x.answer. It may be part of x.answer: content is no
// longer than what it was made of.
func (x *Exchange) take(p []byte) error {
	for len(p) > 0 {
		data, rest, err := x.content.Next(p)
		if err != nil {
			return &appError{ErrorProtocol, err}
		}
		x.answer, p = append(x.answer, data...), rest
	}
	return nil
}

// awaitMore waits for what comes after the header.
func (x *Exchange) awaitMore(t time.Time, state func(*Exchange, upstream.Event, error) Wait) Wait {
	x.held.given = x.content.Whole()
	return x.await(t, state)
}

// more takes an event after the header. Once the answer is complete, an error is nothing but
// the application's end.
func (x *Exchange) more(ev upstream.Event, err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case err != nil && x.held.given && x.context().Err() == nil:
		x.over = true
		return nil
	case err != nil:
		return err
	}
	switch ev.Kind {
	case upstream.Log:
		x.complain(ev.Data)
	case upstream.Output:
		x.noteEnd(&x.content, ev.Data)
		return x.take(ev.Data)
	case upstream.End:
		x.over = true
		if err := x.content.End(); err != nil {
			return &appError{ErrorIncomplete, err}
		}
	}
	return nil
}

// gather collects the rest of the answer as long as it comes at once.
func (x *Exchange) gather() Wait {
	if x.over || len(x.answer) >= gatherMax {
		return x.collected()
	}
	x.held.given = x.content.Whole()
	x.state = (*Exchange).gathered
	return Wait{For: Event, Until: x.sentAt.Add(x.Out.FirstByte + x.Gathers())}
}

func (x *Exchange) gathered(ev upstream.Event, err error) Wait {
	if err := x.more(ev, err); errors.Is(err, os.ErrDeadlineExceeded) {
		return x.collected()
	} else if err != nil {
		return x.attemptOver(err)
	}
	return x.gather()
}

// collected answers the client with what has come: all of it, or the beginning.
func (x *Exchange) collected() Wait {
	body := x.answer[x.header:]
	if !x.over && (x.resp.Streaming || !x.content.Whole()) {
		return x.relay(body)
	}
	x.letGo()
	return x.respond(body)
}

// awaitBody waits until the content begins, and has then told whether there is none. A line
// end too many after the header is no content.
func (x *Exchange) awaitBody(then func(x *Exchange, none bool) Wait) Wait {
	switch blank := len(bytes.Trim(x.answer[x.header:], " \t\r\n")) == 0; {
	case !blank || len(x.answer)-x.header > blankMax:
		return then(x, false)
	case x.over || x.content.Ended():
		return then(x, true)
	}
	x.bodyThen = then
	return x.awaitMore(x.driver.Now().Add(time.Duration(x.site.Config.Timeouts.BetweenBytes)), (*Exchange).bodyEvent)
}

func (x *Exchange) bodyEvent(ev upstream.Event, err error) Wait {
	if err := x.more(ev, err); err != nil {
		return x.attemptOver(err)
	}
	return x.awaitBody(x.bodyThen)
}

// finish reads an answer's rest, which nobody will see, lets the application go, and goes on
// with then.
func (x *Exchange) finish(then func(*Exchange) Wait) Wait {
	x.doneThen, x.since = then, x.driver.Now()
	return x.finishing()
}

func (x *Exchange) finishing() Wait {
	if x.over {
		x.letGo()
		return x.doneThen(x)
	}
	x.held.given = x.content.Whole()
	x.state = (*Exchange).finishEvent
	return Wait{For: Event, Until: x.since.Add(x.Gathers())}
}

func (x *Exchange) finishEvent(ev upstream.Event, err error) Wait {
	if x.more(ev, err) != nil {
		x.letGo()
		return x.doneThen(x)
	}
	x.answer = x.answer[:x.header]
	return x.finishing()
}

// errAnswered is why the application is not waited for any longer.
var errAnswered = errors.New("the answer is complete")

// letGo gives back what the exchange holds of the application: all of the answer is here. The
// worker stays charged until the application has ended the request.
func (x *Exchange) letGo() {
	if !x.over {
		x.noteGiven(&x.held, &x.content)
	}
	x.Out.Answer = x.sinceHeader(x.driver.Now())
	x.quiesce()
	x.stderr.End()
	if h := x.held.settle(errAnswered); h != nil {
		x.driver.Abandon(h)
	}
}

// sinceHeader is how long after the answer's header t is.
func (x *Exchange) sinceHeader(t time.Time) time.Duration {
	return t.Sub(x.sentAt) - x.Out.FirstByte
}

// Answer is an answer that the client is to be sent.
type Answer struct {
	Status      int
	Body        []byte // nil: there is none
	ContentType string // of a page of this program's; "": the header has what there is
	Err         error  // what has failed, if a front may answer with a page of its own; else nil
	own         bool
	length      int // of the page, whether the client expects a body or not
}

// SetFields completes the header of a page of this program's.
func (a *Answer) SetFields(h http.Header) {
	if a.ContentType != "" {
		h.Set("Content-Type", a.ContentType)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Length", strconv.Itoa(a.length))
	}
	if a.own {
		h.Set("Cache-Control", "no-store")
	}
}

// respond answers the client with an answer that is here whole.
func (x *Exchange) respond(body []byte) Wait {
	if x.bodyless(x.resp.Status) {
		body = nil
	} else if err := x.checkLength(&body); err != nil {
		return x.attemptOver(err)
	}
	x.setHead(body)
	x.encodeReply()
	return Wait{For: Reply}
}

// checkLength holds the body to the length that was announced.
func (x *Exchange) checkLength(body *[]byte) error {
	length := int64(len(*body))
	switch announced := x.resp.ContentLength; {
	case announced > length:
		return incomplete(announced, length)
	case announced >= 0 && announced < length:
		x.noteSurplus(announced)
		*body = (*body)[:announced]
	case announced < 0:
		x.client.Header()["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	}
	return nil
}

func incomplete(announced, come int64) error {
	return &appError{ErrorIncomplete, fmt.Errorf("the application announced %d bytes and ended its answer after %d", announced, come)}
}

// Replied reports that the client was sent the answer, or why it was not.
func (x *Exchange) Replied(err error) Wait {
	switch {
	case err == nil:
		return Wait{}
	case x.failed:
		x.Out.Aborted = true
		return Wait{}
	}
	return x.fail(err)
}

// setHead makes the reply an answer of the application's, and completes its header.
func (x *Exchange) setHead(body []byte) {
	h, status := x.client.Header(), x.resp.Status
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // the front must not guess where the application did not say
	}
	switch status {
	case http.StatusNoContent:
		h.Del("Content-Length")
	case http.StatusResetContent:
		h["Content-Length"] = []string{"0"} // or net/http would announce chunks
	}
	x.Out.Status, x.Reply = status, Answer{Status: status, Body: body}
}

// bodyless reports whether the client expects no body whatever the header says.
func (x *Exchange) bodyless(status int) bool {
	return x.client.Method() == http.MethodHead || content.None(status)
}

// isEventStream reports whether an answer is one.
func isEventStream(h http.Header) bool {
	v := h["Content-Type"]
	if len(v) == 0 {
		return false
	}
	mediaType, _, _ := strings.Cut(v[0], ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream")
}

// noteSurplus tells the log that the application wrote more than it announced. What it
// announced is what the client gets, as with other servers.
func (x *Exchange) noteSurplus(announced int64) {
	if !x.surplus {
		x.surplus = true
		x.site.logSurplus(x.client.Path(), x.Out.Instance, announced)
	}
}

func (s *Site) logSurplus(path, instance string, announced int64) {
	s.Log.Warn("the application wrote more than its Content-Length; the rest was dropped",
		"path", path, "instance", instance, "content_length", announced, "advice", "mend the page: its Content-Length is wrong")
}

// noteEnd notes in c whether a piece of output is the end of it. An application that goes on
// after that means nothing by it.
func (x *Exchange) noteEnd(c *content.Content, p []byte) {
	switch {
	case len(p) == 0 && !x.app.Resumes():
		c.CloseOutput()
	case len(p) > 0 && c.Closed:
		c.Closed = false
		x.site.logResumed(x.app, x.client.Path(), x.Out.Instance, false)
	}
}

// logResumed remembers that the application goes on after an empty STDOUT record. cut says
// that the client has lost what came after it.
func (s *Site) logResumed(app Application, path, instance string, cut bool) {
	if app.NoteResumes() || cut {
		s.Log.Warn("the application goes on after an empty STDOUT record, which ends an answer in FastCGI; from now on only END_REQUEST does",
			"path", path, "instance", instance, "cut", cut, "advice", "none, unless cut is true: then the client lost the end of one answer")
	}
}

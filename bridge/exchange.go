package bridge

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/nested"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// maxRedirects bounds the local redirects (RFC 3875, section 6.2.2) that one
// request may go through.
const maxRedirects = 10

// A request that a full application turned away unread is sent again after
// fullPause, four times that, and so on up to fullPauseMax: nothing announces that
// an application has room.
const (
	fullPause    = 10 * time.Millisecond
	fullPauseMax = 500 * time.Millisecond
)

// exchange is one request on its way through the bridge. It belongs to the
// goroutine in ServeHTTP; what is lent to others says so.
type exchange struct {
	b   *Bridge
	w   http.ResponseWriter
	r   *http.Request // the client's, or what a local redirect made of it
	out Outcome

	original *http.Request // the client's

	// Memory that is kept for the next exchange.
	route   []byte
	request upstream.Request
	head    []byte      // the request as it is sent, or its first part
	answer  []byte      // what has come of the answer: headers, and some of the content
	said    http.Header // what the header says, until the client's is made of it

	source *clientReader // the client's body, if there is one
	upload *clientReader // the same if it is streamed
	body   body          // what remains to be sent with r
	client cgi.Client
	ask    admission.Request
	began  time.Time // when ServeHTTP was called
	sentAt time.Time // when the attempt began
	end    time.Time // when the whole exchange must be over; zero: no limit

	nest          *nested.Request // nil: it does not come from this machine
	held          hold
	content       content
	interimAt     time.Time // when the last interim header has come
	over          bool      // the application has ended its answer
	parsed        bool      // the client's header was touched by the application's
	surplusLogged bool
	handedOver    bool // the front answers
	keepIfRead    bool // the connection, if the body is read to its end after the answer
	replayed      bool // it may have been run once, and is sent for the last time
	unrun         int  // times it was sent again because it was not run
}

// keepMax is the largest buffer that is kept for the next exchange, in bytes.
const keepMax = 128 << 10

// usualVars is how many CGI variables a browser's request has, and some more.
const usualVars = 40

// usualFields is how many fields an answer has, and some more.
const usualFields = 16

// reset forgets everything but the memory. Inlined, its copy of an exchange would
// be in the frame of serve, and the stack of each request that is parked twice the size.
//
//go:noinline
func (x *exchange) reset() {
	clear(x.request.Vars) // they refer to the request
	x.forgetSaid()
	route, vars, head, answer, said := x.route[:0], x.request.Vars[:0], x.head[:0], x.answer[:0], x.said
	if cap(head) > keepMax {
		head = nil
	}
	if cap(answer) > keepMax {
		answer = nil
	}
	*x = exchange{route: route, request: upstream.Request{Vars: vars}, head: head, answer: answer, said: said}
}

// forgetSaid makes room for what a header says. A map keeps the room that it once had.
func (x *exchange) forgetSaid() {
	if x.said == nil || len(x.said) > 2*usualFields {
		x.said = make(http.Header, usualFields)
	}
	clear(x.said)
}

// lendAnswer lets others have the memory of an answer's beginning, which was sent: the
// rest may take long.
func (x *exchange) lendAnswer() {
	a := x.answer[:0]
	x.answer = nil
	if cap(a) <= keepMax {
		x.b.answers.Put(&a)
	}
}

// borrowAnswer is for an exchange that has lent its own.
func (x *exchange) borrowAnswer() {
	if x.answer != nil {
		return
	}
	if a, ok := x.b.answers.Get().(*[]byte); ok {
		x.answer = *a
	}
}

// handle takes the request through all its steps, to an answer or an error.
func (x *exchange) handle() {
	defer func() { x.body.close() }() // x.body changes on a local redirect
	defer x.untrack()
	err := x.run()
	if x.upload != nil {
		x.out.BytesIn = x.upload.n
	}
	if err != nil {
		x.fail(err)
	}
}

// isCut reports whether we have ended the reading of the client's body.
func (x *exchange) isCut() bool { return x.source != nil && x.source.isCut() }

func (x *exchange) run() error {
	if err := x.b.open(); err != nil {
		return err
	}
	x.out.Client, x.out.User = x.client.Addr, x.client.User
	if x.client.Refused != nil {
		return x.client.Refused
	}
	if err := x.identify(); err != nil {
		return err
	}
	x.describe()
	if err := x.available(); err != nil {
		return err
	}
	length := int64(0)
	if hasBody(x.r) {
		length = x.r.ContentLength
	}
	if err := x.mapVars(length); err != nil {
		return err // which the header alone decides: nobody is to send a body for it
	}
	if err := x.takeBody(); err != nil {
		return err
	}
	if length < 0 { // it is known now
		if err := x.mapVars(x.body.length); err != nil {
			return err
		}
	}
	for range maxRedirects {
		target, err := x.exchange()
		if err != nil || target == nil {
			return err
		}
		x.redirect(target)
		if x.sentByFront() {
			return nil
		}
		if err := x.mapVars(0); err != nil {
			return err
		}
	}
	return &appError{errProtocol, errors.New("too many local redirects")}
}

// mapVars makes the CGI variables for a body of that length, negative if it is not known
// yet. A request that has too many of them is refused before it takes a worker.
func (x *exchange) mapVars(length int64) (err error) {
	x.request.Vars, err = x.b.mapper.Vars(x.request.Vars[:0], x.r, x.client, length)
	if err != nil {
		return err
	}
	return x.checkParams()
}

// exchange admits the request and has it answered, sending it again where that
// is safe. The target of a local redirect is returned, not followed.
func (x *exchange) exchange() (target *url.URL, err error) {
	queued := time.Now()
	deadline, err := x.admit(queued)
	if err != nil {
		x.out.Queued += time.Since(queued)
		return nil, err
	}
	defer x.held.release()
	return x.dispatch(queued, deadline)
}

// dispatch has the request answered by an application that has room for it.
func (x *exchange) dispatch(queued, deadline time.Time) (target *url.URL, err error) {
	pause := fullPause
	demand := x.demand()
	before := x.out.Attempts
	for {
		x.held.lease, err = x.leaseBy(deadline, demand)
		x.sentAt = time.Now()
		if x.out.Attempts == before {
			x.out.Queued += x.sentAt.Sub(queued)
		}
		if err != nil {
			return nil, x.notServed(err)
		}
		x.held.ticket.At(x.held.lease.Addr())
		x.served()
		x.noteAsked()
		if limit := time.Duration(x.b.cfg.Timeouts.Request); limit > 0 && x.end.IsZero() {
			x.end = x.sentAt.Add(limit)
		}
		target, err = x.attempt()
		deadline = deadline.Add(time.Since(x.sentAt)) // an attempt is no wait
		switch x.again(err) {
		case giveUp:
			return target, x.notServed(err)
		case whenThereIsRoom:
			if time.Now().Add(pause).After(deadline) {
				return nil, &fullError{err}
			}
			if err := sleep(x.r.Context(), pause); err != nil {
				return nil, err
			}
			pause = min(4*pause, fullPauseMax)
		}
		if err := x.available(); err != nil {
			return nil, err
		}
		x.b.countReplay(err)
		if e := (*pool.Error)(nil); errors.As(err, &e) && e.Full {
			demand.Avoid = e.Addr
		}
		demand.Fresh = demand.Fresh || x.replayed || x.unrun > 0
		demand.NoReplay = demand.NoReplay || x.replayed // the next is its last chance
	}
}

// demand says what the request needs of its connection.
func (x *exchange) demand() pool.Demand {
	_, whole := x.body.inline()
	return pool.Demand{
		Buffered: whole,
		Body:     x.body.length > 0,
		NoReplay: !idempotent(x.r.Method) || x.body.stream != nil, // it could not be sent again
	}
}

// leaseBy waits for a connection until deadline at the latest. The pool's own limit
// is the whole time a request may wait, and does for one that has not waited yet.
func (x *exchange) leaseBy(deadline time.Time, demand pool.Demand) (*pool.Lease, error) {
	ctx := x.r.Context()
	if time.Until(deadline) < x.b.patience()-time.Millisecond {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, deadline, pool.ErrWaitTimeout)
		defer cancel()
	}
	return x.b.pool.Lease(ctx, demand)
}

// attempt sends the request on the leased connection and receives the answer.
func (x *exchange) attempt() (target *url.URL, err error) {
	x.out.Attempts++
	x.out.Instance, x.out.Reused = x.held.lease.Addr(), !x.held.lease.Fresh()
	if err = x.send(); err == nil {
		target, err = x.receive()
	}
	if errors.Is(err, pool.ErrInterrupted) {
		err = x.held.interruption(x.r.Context())
	}
	if x.held.lease == nil { // stream or receive has given it back
		return target, err
	}
	x.held.quiesce()
	if x.held.mustAwait(err) {
		x.b.abandon(x.held.take())
	} else {
		x.held.releaseLease()
	}
	return target, err
}

// sleep waits for d, or less if ctx ends; then it returns ctx's cause.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

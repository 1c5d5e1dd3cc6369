package exchange

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/http1"
	"github.com/sluice-proxy/sluice/bridge/internal/content"
	"github.com/sluice-proxy/sluice/bridge/internal/lines"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Wait is what an exchange waits for.
type Wait struct {
	For   For
	Until time.Time // For a Lease, an Event or a Pause: the latest. Zero: there is no limit.
}

// For says what a Wait is for, and with it which method reports what has happened. While Asking is
// true, the gate, the pool and the application are those of the authorizer.
type For uint8

const (
	// Nothing: the exchange is over. If Out.Aborted is set, the client's connection must not
	// be ended cleanly.
	Nothing For = iota
	// Body: the request's body is to be read, or prepared to be streamed. BodyRead.
	Body
	// Grant: the gate is to grant Ask a worker. Granted.
	Grant
	// Connection: the pool is to lease a connection that meets Demand. Leased.
	Connection
	// Send: Request and its body are to be sent. Sent reports that they are on their way.
	Send
	// Event: the application's next event. Happened.
	Event
	// Pause: nothing but the time, or the client's leaving. Paused.
	Pause
	// Reply: the client is to be sent the answer in Reply, which is complete. Replied.
	Reply
	// Relay: the client is to be sent the status in Reply, the header and First, then what Rest
	// receives. Relayed.
	Relay
	// Upgrade: the client's connection is to go on with another protocol. It is to be sent the
	// status in Reply, the header and First, and then both sides what the other one sends.
	// UpgradeEvent takes what the application sends. Upgraded.
	Upgrade
	// Open: the file that a field of Said names is to be opened. Opened.
	Open
	// File: the client is to be sent the file that was opened, with the status in Reply, or
	// what its conditions ask for. The driver sets Out.Status with the header. FileSent.
	File
	// Front: the front is to be asked whether it has a file for a redirected request, or for one
	// that an authorizer has let pass. FrontServed.
	Front
)

// Exchange is one request on its way. A driver calls Begin, and then what the Wait that is
// returned asks for, until that is Nothing. Its fields are the driver's to read where the
// Wait says so.
type Exchange struct {
	Out     Outcome
	Ask     admission.Request
	Demand  pool.Demand
	Request upstream.Request
	Said    http.Header // the application's header, until it is the client's
	Reply   Answer
	First   []byte     // of the content that is relayed
	Rest    *Rest      // of the answer that is relayed
	Who     cgi.Client // whom the request comes from

	site   *Site
	client Client
	driver Driver
	app    Application // that is asked: the site's, or its authorizer

	asking    bool      // app is the authorizer
	askedAt   time.Time // when that began
	variables []cgi.Var // that the authorizer gives

	began    time.Time
	queued   time.Time // when the present target began to wait
	deadline time.Time // for a connection
	sentAt   time.Time // when the attempt began
	bodyAt   time.Time // when the driver began to read the body
	end      time.Time // when the whole exchange must be over; zero: no limit

	lean      bool   // what is sent must be made again
	route     []byte // scratch
	known     bool   // the length of the body is
	attempts  int    // of the present target
	redirects int
	replayed  bool // it may have been run once, and is sent for the last time
	unrun     int  // times it was sent again because it was not run
	pause     time.Duration
	last      error // of the attempt before, while there is a pause

	held     Hold
	watched  bool // the client's leaving interrupts
	state    func(*Exchange, upstream.Event, error) Wait
	bodyThen func(x *Exchange, none bool) Wait // once it is known whether there is a body
	doneThen func(*Exchange) Wait              // once the answer was read to its end

	stderr    lines.Source
	answer    []byte // what has come of the answer: headers, and some of the content
	begin     int    // of the header at hand, in answer
	searched  int    // of it, for its end
	header    int    // where the content begins, in answer
	since     time.Time
	interimAt time.Time // when the last interim header has come
	resp      cgi.Response
	content   content.Content
	over      bool // the application has ended its answer
	adopted   bool // the client's header was touched by the application's
	surplus   bool // the log was told of it
	failed    bool // the reply is an error's
	unlisted  error
	fileErr   error
}

const (
	// MaxRedirects bounds the local redirects (RFC 3875, section 6.2.2) that one request may
	// go through.
	MaxRedirects = 10
	// keepMax is the largest buffer that is kept for the next exchange, in bytes.
	keepMax = 128 << 10
	// usualVars and usualFields are how many meta-variables a browser's request has, and
	// fields an answer, and some more.
	usualVars, usualFields = 40, 16
)

// New returns an Exchange that can be begun. It may be used again after Reset.
func New() *Exchange {
	return &Exchange{Request: upstream.Request{Vars: make([]cgi.Var, 0, usualVars)}}
}

// Begin takes a request. Who is set.
func (x *Exchange) Begin(site *Site, client Client, driver Driver, began time.Time) Wait {
	x.site, x.client, x.driver, x.began, x.app = site, client, driver, began, site.App
	if err := x.prepare(); err != nil {
		return x.fail(err)
	}
	if x.guarded() {
		return x.authorize()
	}
	return x.proceed()
}

// Move has another client and driver stand in for those of Begin. The header of the answer, and
// what is held, are the same.
func (x *Exchange) Move(client Client, driver Driver) { x.client, x.driver = client, driver }

// Parked is what must be kept of an exchange that waits for its first grant. All else follows from the
// client's request.
type Parked struct {
	queuedAt time.Time
	upload   time.Duration
}

// Park returns what must be kept of x if it is forgotten while it waits for a grant, until Unpark. ok is
// false if that is more: what an authorizer has said, or what has become of earlier attempts.
func (x *Exchange) Park() (p Parked, ok bool) {
	return Parked{x.queued, x.Out.Upload}, !x.asking && x.Out.Authorizer == "" && x.attempts == 0 && x.redirects == 0
}

// Unpark makes x, which is new, the exchange that p was returned of, and that was begun with the same
// arguments. Who is set.
func (x *Exchange) Unpark(site *Site, client Client, driver Driver, began time.Time, p Parked) {
	x.site, x.client, x.driver, x.began, x.app = site, client, driver, began, site.App
	x.Out.Client, x.Out.User = x.Who.Addr, x.Who.User
	x.setKey()
	x.classify()
	x.Request.Authorizer, x.known, x.lean = client.Authorizer(), true, true
	x.queued, x.Out.QueuedAt, x.Out.Upload = p.queuedAt, p.queuedAt, p.upload
}

// Memory is what an exchange makes the request and the answer in. It can be that of another exchange
// after this one.
type Memory struct {
	vars   []cgi.Var
	fields []http1.Field
	route  []byte
	answer []byte
	said   http.Header
}

// Lean takes the memory of an exchange that waits for a grant, or for an application that has not
// answered. What is made again is made from the same request of the client.
func (x *Exchange) Lean() (m Memory) {
	x.lean = true
	clear(x.Request.Vars) // they refer to the client's request
	clear(x.Request.HTTP.Fields)
	m.vars, m.fields, m.route = x.Request.Vars[:0], x.Request.HTTP.Fields[:0], x.route[:0]
	x.Request.Vars, x.Request.HTTP, x.route = nil, http1.Request{}, nil
	if len(x.answer) == 0 {
		x.forgetSaid()
		m.answer, m.said = x.answer, x.Said
		x.answer, x.Said = nil, nil
	}
	return m
}

// Fill gives memory to an exchange that has none.
func (x *Exchange) Fill(m Memory) {
	x.Request.Vars, x.Request.HTTP.Fields, x.route = m.vars, m.fields, m.route
	if x.answer == nil && x.Said == nil {
		x.answer, x.Said = m.answer, m.said
	}
}

// fatten undoes Lean, before the request is sent.
func (x *Exchange) fatten() error {
	if !x.lean {
		return nil
	}
	x.lean = false
	if x.asking {
		return x.describeQuestion()
	}
	return x.describe(x.driver.Body().Length)
}

// prepare does what is decided before it is known whether the client may ask.
func (x *Exchange) prepare() error {
	if err := x.site.Open(); err != nil {
		return err
	}
	x.Out.Client, x.Out.User = x.Who.Addr, x.Who.User
	if x.Who.Refused != nil {
		return x.Who.Refused
	}
	if err := x.identify(); err != nil {
		return err
	}
	x.classify()
	return x.available()
}

// proceed goes on to the application with a request that may pass. What the header alone decides
// comes first: nobody is to send a body for nothing.
func (x *Exchange) proceed() Wait {
	x.Request.Authorizer = x.client.Authorizer()
	length := x.client.BodyLength()
	x.known = length >= 0
	if err := x.describe(length); err != nil {
		return x.fail(err)
	}
	if x.redirects == MaxRedirects {
		return x.fail(&appError{ErrorProtocol, errors.New("too many local redirects")})
	}
	if length != 0 {
		x.bodyAt = time.Now()
		return Wait{For: Body}
	}
	return x.enter()
}

// describe makes the meta-variables, or the HTTP message, for a body of that length, negative if it
// is not known yet. A request that has too many of them is refused before it takes a worker.
func (x *Exchange) describe(length int64) (err error) {
	codec := x.app.Codec()
	if codec.TakesHTTP() {
		err = x.client.HTTP(&x.Request.HTTP, &x.Who, length)
	} else {
		x.Request.Vars, err = x.client.Vars(x.Request.Vars[:0], &x.Who, length)
	}
	if err != nil {
		return err
	}
	return x.checkSize()
}

func (x *Exchange) checkSize() error {
	total, err := x.app.Codec().Size(&x.Request)
	if limit := x.site.Config.MaxParams; err == nil && total > limit {
		return &paramsError{total, limit}
	}
	return err
}

// BodyRead reports that the body was read, or that it can be streamed.
func (x *Exchange) BodyRead(err error) Wait {
	x.Out.Upload += time.Since(x.bodyAt)
	if err == nil && !x.known {
		err = x.describe(x.driver.Body().Length)
	}
	if err != nil {
		return x.fail(err)
	}
	return x.enter()
}

// classify says what is asked for. A local redirect asks for something else.
func (x *Exchange) classify() { x.route = x.client.Classify(&x.Ask, x.route) }

// redirect goes on with the target of a local redirect (RFC 3875, section 6.2.2). What was
// decided for the request before does not hold for it.
func (x *Exchange) redirect() Wait {
	x.redirects++
	x.replayed, x.unrun, x.attempts = false, 0, 0
	x.client.Redirect()
	x.client.Identify(&x.Who) // who may see one path need not see another
	x.classify()
	if x.guarded() {
		return x.authorize()
	}
	return Wait{For: Front}
}

// FrontServed reports whether the front has answered with a file of its own: a status and a number
// of bytes, or status 0.
func (x *Exchange) FrontServed(status int, bytes int64) Wait {
	if status != 0 {
		x.Out.Status, x.Out.BytesOut = status, bytes
		return Wait{}
	}
	return x.proceed()
}

// Reset forgets everything but the memory, for the next Begin. Inlined, its copy of an
// exchange would be in the frame of a driver, and make the stack of each parked request
// larger.
//
//go:noinline
func (x *Exchange) Reset() {
	clear(x.Request.Vars) // they refer to the client's request
	clear(x.Request.HTTP.Fields)
	x.forgetSaid()
	route, vars, fields, answer, said := x.route[:0], x.Request.Vars[:0], x.Request.HTTP.Fields[:0], x.answer[:0], x.Said
	if cap(answer) > keepMax {
		answer = nil
	}
	*x = Exchange{route: route, answer: answer, Said: said}
	x.Request.Vars, x.Request.HTTP.Fields = vars, fields
}

// forgetSaid makes room for what a header says. A map keeps the room that it once had.
func (x *Exchange) forgetSaid() {
	if x.Said == nil || len(x.Said) > 2*usualFields {
		x.Said = make(http.Header, usualFields)
	}
	clear(x.Said)
}

// context ends when nobody waits for the answer.
func (x *Exchange) context() context.Context { return x.client.Context() }

// within returns the earlier of t and the end of the time the whole exchange has.
func (x *Exchange) within(t time.Time) time.Time {
	if !x.end.IsZero() && x.end.Before(t) {
		return x.end
	}
	return t
}

// overdue reports whether the exchange has used up its time.
func (x *Exchange) overdue() bool { return !x.end.IsZero() && !time.Now().Before(x.end) }

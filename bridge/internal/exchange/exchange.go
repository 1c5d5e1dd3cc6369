package exchange

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
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
	// Held: the client is to be held, by Hold. What it waits for is in what that returns. Released.
	Held
	// Front: the front is to be asked whether it has a file for a redirected request, or for one
	// that an authorizer has let pass. FrontServed.
	Front
)

// Exchange is one request on its way. A driver calls Begin, and then what the Wait that is
// returned asks for, until that is Nothing. Its fields, and those of its Memory, are the driver's to
// read where the Wait says so. Many exchanges wait for long: the fields are what is needed meanwhile.
type Exchange struct {
	*Memory // nil while the exchange is lean, until Fill

	Out    Outcome
	Ask    admission.Request
	Demand pool.Demand
	Who    cgi.Client // whom the request comes from

	site   *Site
	client Client
	driver Driver
	app    Application // that is asked: the site's, or its authorizer

	askedAt  time.Time // when the question to the authorizer began
	deadline time.Time // for a connection
	sentAt   time.Time // when the attempt began
	since    time.Time // when the application's time for the header began
	end      time.Time // when the whole exchange must be over; zero: no limit
	appEnd   time.Time // end, while the authorizer is asked, which has a time of its own

	asking    bool // app is the authorizer
	lean      bool // what is sent must be made again
	known     bool // the length of the body is
	tells     bool // the request is this program's own: Tell
	replayed  bool // it may have been run once, and is sent for the last time
	watched   bool // the client's leaving interrupts
	attempts  int  // of the present target
	redirects int
	unrun     int // times it was sent again because it was not run
	pause     time.Duration
	last      error // of the attempt before, while there is a pause

	held   Hold
	order  *order      // to hold the client, until Hold is called
	renews *HeldClient // what the client was, of which the application is asked again; nil: it is not
	gone   string      // where the application is told that the client is; "": nowhere
	state  func(*Exchange, upstream.Event, error) Wait
	stderr *lines.Source // of the attempt; nil: nothing has come of it
}

// MaxRedirects bounds the local redirects (RFC 3875, section 6.2.2) that one request may go through.
const MaxRedirects = 10

// New returns an Exchange that can be begun. It may be used again after Reset.
func New() *Exchange { return &Exchange{Memory: NewMemory()} }

// Begin takes a request. Who is set.
func (x *Exchange) Begin(site *Site, client Client, driver Driver) Wait {
	x.site, x.client, x.driver, x.app = site, client, driver, site.App
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
	x.Request.Authorizer = x.client.Authorizer()
	x.sign(true)
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
func (x *Exchange) classify() {
	x.route = x.client.Classify(&x.Ask, x.route)
	if h := x.site.Holds; h != nil && h.Routes.has(x.Ask.Route) {
		x.Ask.Long = true
	}
}

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

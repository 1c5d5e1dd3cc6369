package exchange

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/http1"
	"github.com/sluice-proxy/sluice/bridge/internal/lines"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Client is the client as its front and its site understand it: a view of the request, and
// where the answer's header goes.
type Client interface {
	// Context ends when nobody waits for the answer any more.
	Context() context.Context

	Method() string
	Path() string
	HTTP10() bool      // the client's protocol is older than HTTP/1.1
	BodyLength() int64 // in bytes; 0: there is no body, -1: its length is not known yet
	Authorizer() bool  // a web server asks whether its client's request is allowed

	// Identify sets c to whom the request comes from.
	Identify(c *cgi.Client)
	// SetKey sets in ask who asks.
	SetKey(ask *admission.Request, c *cgi.Client)
	// Classify sets in ask what is asked for. It uses and returns scratch.
	Classify(ask *admission.Request, scratch []byte) []byte
	// Vars appends the meta-variables for a body of that length, -1 if it is not known yet.
	// The error is what the client is answered.
	Vars(dst []cgi.Var, c *cgi.Client, length int64) ([]cgi.Var, error)
	// HTTP sets dst to the request as an HTTP message. The length and the error are those of
	// Vars.
	HTTP(dst *http1.Request, c *cgi.Client, length int64) error
	// IsLongPoll reports whether the configuration lists the path as a long-poll.
	IsLongPoll() bool
	// Guarded reports whether the site's authorizer, if there is one, is to be asked.
	Guarded() bool
	// AuthorizerVars appends the variables that an authorizer gets. The error is what the client
	// is answered.
	AuthorizerVars(dst []cgi.Var, c *cgi.Client) ([]cgi.Var, error)
	// AuthorizerHTTP sets dst to what an authorizer is asked in HTTP, for a target. The error is
	// that of AuthorizerVars.
	AuthorizerHTTP(dst *http1.Request, c *cgi.Client, target string) error
	// GrantFields gives c what an authorizer says in the header of its answer in HTTP; the user
	// only if that is set.
	GrantFields(c *cgi.Client, said http.Header, user bool)
	PrefersJSON() bool
	// Negotiates returns the header in which the client says how it takes the answer; nil if a web
	// server in front negotiates with it.
	Negotiates() http.Header

	// FindTarget reports whether a local redirect to a request target is followed here.
	// Redirect makes the request one for the target found last: by GET, without a body.
	FindTarget(location string) bool
	Redirect()
	// Continue drops, after Redirect, what the client has said of the content that it has: the target
	// goes on with what it was sent since.
	Continue()
	// Gone has the application told, by a POST to a target, that the client is gone. It does not wait
	// for that.
	Gone(target string)

	// Header is the header of the answer. It may hold fields of the front's.
	Header() http.Header
	// TakeHeader makes said the header of the answer, if that has no fields yet, and returns an empty map in
	// its place; nil: said is to be copied.
	TakeHeader(said http.Header) http.Header
	// Interim sends an interim answer with the fields of said. It may take up to a second.
	Interim(status int, said http.Header)
	// ErrorLog is the error log of a web server in front, which is to have what the application
	// writes to its standard error during this request, too; nil: there is none. Write does not
	// block.
	ErrorLog() io.Writer
	// PassesSendfile reports whether the front acts on X-Sendfile and X-Accel-Redirect.
	PassesSendfile() bool
}

// Driver does the waiting, and whatever runs beside an exchange meanwhile.
type Driver interface {
	// Now is the time, as of the event at hand.
	Now() time.Time
	// Watch has the client's leaving interrupt the waits for an Event of this attempt.
	Watch()
	// Interruption returns why a wait was interrupted: the client has left, or its body
	// could not be read to its end.
	Interruption() error
	// Quiesce ends what runs beside the attempt: the watch, and the sending of the body.
	Quiesce()
	// Abandon owns the hold from now on, and drives an Abandoned.
	Abandon(*Hold)
	// Body says what is known of the request's body.
	Body() BodyState
	// CloseFile closes the file that was opened and is not to be sent.
	CloseFile()
}

// BodyState is what a driver knows of a request's body.
type BodyState struct {
	Length   int64     // in bytes
	Inline   bool      // it goes out in one write with the request's head
	Streamed bool      // it is sent while it arrives
	Touched  bool      // something of a streamed one was read: it cannot be sent again
	Cut      bool      // the driver has ended the reading of the client's body
	Separate bool      // it is being sent, or was, beside the exchange
	SentAt   time.Time // when that has ended; zero: it has not
}

// Lease is a connection to the application, lent to one request. It is a *pool.Lease.
type Lease interface {
	Addr() string
	Fresh() bool
	Shared() bool
	AtWork() bool
	Spoke() bool
	RequestUnread() bool
	ProbeServing()
	NoteUnread()
	AbandonUnread() *pool.Error
	MarkAbandoned()
	Release()
}

// Application is what all sites in front of an application share, as an exchange sees it.
type Application interface {
	// Codec is the application's protocol.
	Codec() upstream.Codec
	// Patience is how long a short request may wait for a worker and a connection.
	Patience() time.Duration
	// CountReplay counts a request that is sent again.
	CountReplay(*pool.Error)
	// NoteRefused counts a request that was refused, for the log.
	NoteRefused(reason, client string)
	// Stderr is where the application's standard error for a request goes.
	Stderr(path, instance string) lines.Source
	// Resumes reports whether the application was seen to go on after the end of its
	// output. NoteResumes notes it, and reports whether that is news.
	Resumes() bool
	NoteResumes() bool
	// Processes are the application's, if this program keeps them.
	Processes() Processes
}

// Processes are told what becomes of requests, and know when none can be served. The
// methods that report are called for each attempt.
type Processes interface {
	// Wanted tells that there is a request.
	Wanted()
	// Refusing reports whether no process runs nor will, and for how long.
	Refusing() (time.Duration, bool)
	// Quarantined reports whether requests of a route are refused, and for how long.
	Quarantined(route string) (time.Duration, bool)
	// Answered tells that the header of an answer has come.
	Answered(instance, route string)
	// Lost tells that the connection of a request has ended before its answer did.
	Lost(instance string, r supervise.Request)
}

// NoProcesses is for an application that runs by itself.
type NoProcesses struct{}

func (NoProcesses) Wanted()                                  {}
func (NoProcesses) Refusing() (time.Duration, bool)          { return 0, false }
func (NoProcesses) Quarantined(string) (time.Duration, bool) { return 0, false }
func (NoProcesses) Answered(_, _ string)                     {}
func (NoProcesses) Lost(string, supervise.Request)           {}

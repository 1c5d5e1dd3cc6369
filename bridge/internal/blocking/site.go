package blocking

import (
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/classify"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
	"github.com/sluice-proxy/sluice/bridge/internal/nested"
	"github.com/sluice-proxy/sluice/bridge/internal/sendfile"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
)

// Site serves the requests of one site. It is set up before the first request.
type Site struct {
	exchange.Site
	Application Application
	// Authorizing is the site's authorizer, if there is one. Spool, Discards and Nested are not
	// used: bodies and answers are held by the application's.
	Authorizing Application
	Guard       cgi.Guard // says what Authorizing is asked about

	Mapper     *cgi.Mapper
	Classifier *classify.Classifier
	Sendfile   sendfile.Dirs
	// Identify sets whom a request comes from.
	Identify func(*http.Request, *cgi.Client)
	// What a front in this process does itself; see bridge.SiteHooks. Each may be nil.
	ErrorHandler   func(w http.ResponseWriter, r *http.Request, status int, err error) (answered bool)
	ServeFile      func(w http.ResponseWriter, r *http.Request) (status int, bytes int64)
	ActsOnSendfile func(w http.ResponseWriter) bool
	ClientConn     func(w http.ResponseWriter, r *http.Request) net.Conn
	// Observe is told what became of a request before the rest of an unwanted body is read.
	Observe func(*http.Request, *exchange.Outcome)
	// Draining reports whether answers are to end their client's connection.
	Draining func() bool
	// Drained is closed when Draining begins to return true, or the site is closed. Upgraded
	// connections end then.
	Drained <-chan struct{}
	// Gone sees to it that Tell is called for a request of this program's own.
	Gone func(r *http.Request, target string)

	calls       sync.Pool // of *call
	sendBuffers sync.Pool // of *[]byte: the pieces of bodies on their way
}

// Application is what a call needs of the application to wait for it.
type Application struct {
	Gate interface {
		Acquire(context.Context, *admission.Request) (admission.Ticket, error)
		TryAcquire(*admission.Request, admission.Waiter) (t admission.Ticket, granted bool, err error)
		Load() (inUse, waiting int)
	}
	Pool interface {
		Lease(context.Context, pool.Demand) (*pool.Lease, error)
		LeaseFunc(context.Context, pool.Demand, func(*pool.Lease, error))
	}
	Spool    func() *spool.Store // for bodies that come
	Discards *Discards
	Nested   *nested.Finder // nil: the gate has no use for it
	// Background runs f in a goroutine that outlives the call. ctx ends when the application is
	// closed.
	Background func(f func(ctx context.Context))
	// Awaits is told that an event loop begins to wait for an abandoned answer, by 1, and that it does not
	// wait any more, by -1. It does not wait for long.
	Awaits func(n int)
}

// Serve answers a request. It has ended all that it began when it returns, but for what waits
// for an abandoned answer. If aborted is true, the client's connection must not be ended
// cleanly.
func (s *Site) Serve(w http.ResponseWriter, r *http.Request) (aborted bool) {
	c, ok := s.calls.Get().(*call)
	if !ok {
		c = &call{x: exchange.New()}
	}
	c.drive(c.begin(s, w, r))
	c.end()
	s.Observe(r, &c.x.Out)
	c.discardBody()
	aborted = c.x.Out.Aborted
	c.reset()
	s.calls.Put(c)
	return aborted
}

package bridge

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/classify"
	"github.com/sluice-proxy/sluice/bridge/internal/sendfile"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Bridge serves HTTP requests through a FastCGI application, as one site: how URLs map
// to scripts, who asks, how long each step of a request may take. It is an http.Handler,
// and safe for concurrent use.
type Bridge struct {
	*backend // what it may share with others

	cfg    *site
	mapper *cgi.Mapper

	mount      string // SiteConfig.Mount without a slash at its end
	classifier *classify.Classifier
	sharing    *sharing // nil: accounts may be used from anywhere
	plain      bool     // the gate has no lanes

	sendable sendfile.Dirs

	proxyNotices  proxyNotices
	fieldNotices  fieldNotices
	headerNotices headerNotices
	unsent        unsentNotices

	exchanges sync.Pool    // of *exchange
	answers   sync.Pool    // of *[]byte: what exchanges have lent
	inFlight  atomic.Int64 // calls of ServeHTTP

	refuses atomic.Bool // Refuse was called

	closed  atomic.Bool
	awaited atomic.Bool   // somebody waits, or has waited, until no call is left
	idle    chan struct{} // has one if the last call has ended since
	close   func()
}

// New checks cfg and returns a Bridge with a Backend of its own, which it closes. It
// connects to nothing, and starts what Spawn says. An error names the key it is about.
func New(cfg Config) (*Bridge, error) {
	back, err := NewBackend(cfg.ApplicationConfig, cfg.BackendHooks)
	if err != nil {
		return nil, err
	}
	b, err := back.Bridge(cfg.SiteConfig, cfg.SiteHooks)
	if err != nil {
		back.close()
		return nil, err
	}
	b.close = sync.OnceFunc(func() {
		b.gate.Close() // who waits need not wait any longer
		b.leave()
		back.close()
	})
	if err := back.Start(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// Bridge returns a site in front of the backend. Close of a Bridge closes the site alone.
func (b *Backend) Bridge(cfg SiteConfig, hooks SiteHooks) (*Bridge, error) {
	app := b.settings.Load()
	own, err := newSite(cfg, hooks, app, b.hooks.Logger)
	if err != nil {
		return nil, err
	}
	s := &Bridge{backend: b.backend, cfg: own, mount: strings.TrimSuffix(own.Mount, "/"), plain: app.Lanes == Off, idle: make(chan struct{}, 1)}
	mapping := own.cgi()
	mapping.OnRoot, mapping.OnDropped = s.noteRoot, s.fieldNotices.dropped(own.Logger)
	if s.mapper, err = cgi.NewMapper(mapping); err != nil {
		return nil, err
	}
	if s.sendable, err = sendfile.New(cfg.Sendfile); err != nil {
		return nil, errors.Join(err, s.mapper.Close())
	}
	s.exchanges.New = func() any { return &exchange{request: upstream.Request{Vars: make([]cgi.Var, 0, usualVars)}} }
	s.close = sync.OnceFunc(s.leave)
	b.sites.join(s)
	return s, nil
}

// ServeHTTP answers r through the application. It panics with
// http.ErrAbortHandler, as net/http provides for, when the client's connection
// must not be ended cleanly; everything the request held is released by then.
func (b *Bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !b.serve(w, r) {
		return
	}
	if !r.ProtoAtLeast(1, 1) {
		reset(w)
	}
	panic(http.ErrAbortHandler)
}

// reset ends an HTTP/1.0 client's connection with a TCP reset. Where no length
// was announced, the end of the connection is the end of the answer, and an
// ordinary one would make it look complete.
func reset(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // not the server's own connection: the panic does what can be done
	}
	for { // the Close of a tls.Conn would say that all is well
		outer, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = outer.NetConn()
	}
	if tcp, ok := c.(interface{ SetLinger(sec int) error }); ok { // a *net.TCPConn, or what a listener has made of it
		_ = tcp.SetLinger(0) // without it, Close is as before
	}
	_ = c.Close()
}

// serve reports whether the client's connection must be aborted.
func (b *Bridge) serve(w http.ResponseWriter, r *http.Request) (abort bool) {
	b.inFlight.Add(1) // before open looks whether the site is closed
	defer b.depart()

	x := b.exchanges.Get().(*exchange)
	x.b, x.w, x.r, x.original, x.began = b, w, r, r, time.Now()
	b.identify(r, &x.client) // here, because a front's Identify may need much stack
	x.handle()
	if b.cfg.Observe != nil {
		x.out.Total = time.Since(x.began)
		b.cfg.Observe(r, &x.out)
	}
	x.discardBody()
	abort = x.out.Aborted
	x.reset()
	b.exchanges.Put(x)
	return abort
}

// Unused returns what of the site's configuration has no effect as the directories are
// now, such as a path to hide where nothing is: each an error that names the key. It is
// for a log.
func (b *Bridge) Unused() []error {
	list := append(b.mapper.Unused(), b.sendable.Unused()...)
	for _, pattern := range b.cfg.LongPoll {
		below := strings.TrimPrefix(pattern, b.mount)
		if !strings.Contains(pattern, "*") && !b.mapper.Leads(pattern) && !b.mapper.Leads(below) {
			list = append(list, fmt.Errorf("long_poll %q: there is nothing at that path", pattern))
		}
	}
	return list
}

// Close refuses new requests, and waits for those in ServeHTTP: a client that stays and
// an answer that does not end keep it waiting. Stop the server in front first. Of a
// Bridge that New made, it also refuses those that wait, ends what waits for abandoned
// answers, closes every connection and ends the processes. It may be called more than
// once.
func (b *Bridge) Close() error {
	b.close()
	return nil
}

// CloseWhenIdle closes b as Close does, but serves the requests that come until there is none
// in ServeHTTP. It is for a site that is to get no more requests, while a server in front may
// still have some that it accepted before.
func (b *Bridge) CloseWhenIdle() error {
	b.awaitIdle()
	return b.Close()
}

// InFlight returns how many requests are in ServeHTTP.
func (b *Bridge) InFlight() int64 { return b.inFlight.Load() }

// depart ends a call of ServeHTTP. Calls may come after Close, which is why this is no
// sync.WaitGroup.
func (b *Bridge) depart() {
	if b.inFlight.Add(-1) == 0 && b.awaited.Load() {
		b.wake()
	}
}

// awaitIdle waits until no call of ServeHTTP is left. Several callers may wait: the first to
// wake up wakes the next.
func (b *Bridge) awaitIdle() {
	b.awaited.Store(true)
	for b.inFlight.Load() > 0 {
		<-b.idle
	}
	b.wake()
}

// wake has one caller of awaitIdle look again.
func (b *Bridge) wake() {
	select {
	case b.idle <- struct{}{}:
	default: // it has one
	}
}

// leave closes the site.
func (b *Bridge) leave() {
	b.closed.Store(true)
	b.awaitIdle()
	b.sites.leave(b)
	if err := b.mapper.Close(); err != nil {
		b.cfg.Logger.Error("closing the root failed", "error", err.Error())
	}
}

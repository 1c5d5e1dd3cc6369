package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/addresslimit"
	"github.com/sluice-proxy/sluice/bridge/internal/app"
	"github.com/sluice-proxy/sluice/bridge/internal/blocking"
	"github.com/sluice-proxy/sluice/bridge/internal/classify"
	"github.com/sluice-proxy/sluice/bridge/internal/compress"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
	"github.com/sluice-proxy/sluice/bridge/internal/sendfile"
)

// Handler serves HTTP requests through an application, as one site: how URLs map to scripts,
// who asks, how long each step of a request may take. It is an http.Handler, and safe for
// concurrent use.
type Handler struct {
	app *Application // shared with other sites, perhaps

	cfg    *site
	serves blocking.Site
	joined *app.Site

	proxies proxyNotices
	fields  fieldNotices

	inFlight atomic.Int64  // calls of ServeHTTP
	ends     atomic.Bool   // connections end with their next answer
	refuses  atomic.Bool   // no request is taken any more
	drained  chan struct{} // closed with ends, or closed
	drain    func()        // closes it
	closed   atomic.Bool
	awaited  atomic.Bool   // somebody waits, or has waited, until no call is left
	idle     chan struct{} // has one if the last call has ended since
	close    func()

	life context.Context // of the site's own requests
	end  context.CancelCauseFunc
}

// New checks cfg and returns a Handler with an Application of its own, which Close of the Handler
// closes. New connects to nothing. If Spawn is set, it starts the application's processes, as
// Application.Start does. An error names the setting it is about.
func New(ctx context.Context, cfg Config) (*Handler, error) {
	a, err := NewApplication(cfg.ApplicationConfig, cfg.ApplicationHooks)
	if err != nil {
		return nil, err
	}
	h, err := a.Handler(cfg.SiteConfig, cfg.SiteHooks)
	if err != nil {
		a.app.Close()
		return nil, err
	}
	h.close = sync.OnceFunc(func() {
		a.app.Gate.Close() // requests that wait need not wait any longer
		h.leave()
		a.app.Close()
	})
	if err := a.Start(ctx); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// newHandler returns a site in front of a. Of the settings of a it uses only those that cannot change in
// place, marked (B) in docs/settings.md: the site may go on while a is configured anew.
func newHandler(a *Application, cfg SiteConfig, hooks SiteHooks) (*Handler, error) {
	settings := a.app.Settings()
	own, err := newSite(cfg, hooks, settings, a.app.Logger())
	if err != nil {
		return nil, err
	}
	h := &Handler{app: a, cfg: own, idle: make(chan struct{}, 1), drained: make(chan struct{})}
	h.life, h.end = context.WithCancelCause(context.Background())
	s := &h.serves
	h.drain = sync.OnceFunc(func() {
		close(h.drained)
		if s.Holds != nil {
			s.Holds.Site.Drain()
		}
	})
	mapping := own.cgi()
	mapping.OnRoot, mapping.OnDropped = h.noteRoot, h.fields.dropped(own.Logger)
	if s.Mapper, err = cgi.NewMapper(mapping); err != nil {
		return nil, err
	}
	if s.Sendfile, err = sendfile.New(cfg.Sendfile); err != nil {
		return nil, errors.Join(err, s.Mapper.Close())
	}
	if s.Compression, err = compress.New(&own.Compression, &a.encoders); err != nil {
		return nil, errors.Join(err, s.Mapper.Close())
	}
	mount := strings.TrimSuffix(own.Mount, "/")
	h.joined = &app.Site{
		Mount: mount, Root: own.Root,
		Mapping: own.cgi(), MaxResponseHeader: own.MaxResponseHeader, InFlight: h.inFlight.Load, Guesses: hooks.Guesses,
	}
	if f := &own.Client; f.MaxAddresses > 0 {
		h.joined.Limit = addresslimit.Rule{Most: f.MaxAddresses, Per: time.Duration(f.Per), Evict: f.Excess == config.Evict}
	}
	a.app.Join(h.joined)
	lanes := settings.Lanes != config.Off
	s.Classifier = classify.New(classify.Config{
		Label: h.joined.Label, Mount: mount, LongPoll: own.LongPoll, Key: own.keySource, Seeds: h.joined.Seeds, Names: h.joined.Names,
		Clients: lanes || h.joined.Addresses != nil, Routes: lanes || a.Spawned(), Lanes: lanes,
	})
	s.Config, s.Log, s.App, s.Addresses, s.Open = &own.SiteConfig, own.Logger, a.app, h.joined.Addresses, h.open
	s.Application = blocking.Application{Gate: a.app.Gate, Pool: a.app.Pool, Spool: a.app.Spool, Discards: &a.discards, Background: a.app.Background, Awaits: a.app.Awaits}
	if holds := a.app.Holds; holds != nil {
		s.Holds = &exchange.Holds{Site: holds.Registry.Site(), Sig: holds.Sig, Routes: holds.Routes}
		s.Gone = h.gone
	}
	h.protect()
	if lanes {
		s.Application.Nested = a.app.Nested
	}
	s.Observe = h.observe
	s.Identify, s.Draining = h.identify, h.ends.Load
	s.Drained = h.drained
	s.ErrorHandler, s.ActsOnSendfile = h.handleError, h.actsOnSendfile
	if hooks.ClientConn != nil {
		s.ClientConn = h.clientConn
	}
	if hooks.ServeFile != nil {
		s.ServeFile = h.serveFile
	}
	h.close = sync.OnceFunc(h.leave)
	return h, nil
}

// Application returns the application that h is in front of. If New has made h, Close of h
// closes it.
func (h *Handler) Application() *Application { return h.app }

// ServeHTTP answers r through the application. It panics with http.ErrAbortHandler, as
// net/http provides for, if the client's connection must not be ended cleanly; everything the
// request held is released by then.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.inFlight.Add(1) // before open looks whether the site is closed
	aborted := h.serve(w, r)
	if !aborted {
		return
	}
	if !r.ProtoAtLeast(1, 1) {
		reset(w)
	}
	panic(http.ErrAbortHandler)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (aborted bool) {
	defer h.depart()
	return h.serves.Serve(w, r)
}

func (h *Handler) observe(r *http.Request, o *exchange.Outcome) {
	if h.cfg.Observe != nil {
		h.cfg.Observe(r, (*Outcome)(o))
	}
}

// handleError leaves the answer to a request that has failed to others, if they want it.
func (h *Handler) handleError(w http.ResponseWriter, r *http.Request, status int, err error) bool {
	if a, ok := w.(*transported); ok {
		return a.fail(status, err)
	}
	return h.cfg.ErrorHandler != nil && h.cfg.ErrorHandler(w, r, status, err)
}

func (h *Handler) actsOnSendfile(w http.ResponseWriter) bool {
	if a, ok := w.(*transported); ok {
		return a.by.ActsOnSendfile
	}
	return h.cfg.ActsOnSendfile != nil && h.cfg.ActsOnSendfile(w)
}

// clientConn is nil for a transport's answer, which somebody else passes on.
func (h *Handler) clientConn(w http.ResponseWriter, r *http.Request) net.Conn {
	if _, ok := w.(*transported); ok {
		return nil
	}
	return h.cfg.ClientConn(w, r)
}

// reset ends an HTTP/1.0 client's connection with a TCP reset. If no length was announced, the
// end of the connection is the end of the answer, and an ordinary one would make it look
// complete.
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

// CheckDirectories is that of Config for the site of h as the directories are now.
func (h *Handler) CheckDirectories() error { return h.serves.Mapper.CheckDirectories() }

// Unused returns the settings of the site that have no effect as the directories are now, such
// as a path to hide where nothing is: each an error that names the key. It is for a log.
func (h *Handler) Unused() []error {
	list := append(h.serves.Mapper.Unused(), h.serves.Sendfile.Unused()...)
	for _, pattern := range h.cfg.LongPoll {
		below := strings.TrimPrefix(pattern, h.joined.Mount)
		if !strings.Contains(pattern, "*") && !h.serves.Mapper.Leads(pattern) && !h.serves.Mapper.Leads(below) {
			list = append(list, fmt.Errorf("long_poll %q: there is nothing at that path", pattern))
		}
	}
	return list
}

// Refuse refuses requests that come from now on with 503. Those that are there go on, and
// answers that begin from now on end their client's connection. Upgraded connections are closed.
func (h *Handler) Refuse() {
	h.refuses.Store(true)
	h.EndConnections()
}

// EndConnections has answers that begin from now on end their client's connection: others answer later
// requests. Those that come nevertheless are answered. Upgraded connections are closed.
func (h *Handler) EndConnections() {
	h.ends.Store(true)
	h.drain()
}

// Shutdown refuses new requests, waits until none is in ServeHTTP and the application was told of held
// clients that are gone, and closes h as Close does.
// If ctx ends before, it returns the cause, and h is not closed yet: cancel the contexts of the
// requests that are left with ErrShutdown, and call Close.
func (h *Handler) Shutdown(ctx context.Context) error {
	h.Refuse()
	if err := h.awaitIdle(ctx); err != nil {
		return err
	}
	return h.Close()
}

// Close refuses new requests, and waits for those in ServeHTTP: a client that stays and an
// answer that does not end keep it waiting. What the application is still to be told of held clients
// that are gone is dropped. If New has made h, it also refuses requests that
// wait, ends what waits for abandoned answers, closes every connection and ends the processes.
// It may be called more than once. The error is always nil.
func (h *Handler) Close() error {
	h.close()
	return nil
}

// CloseWhenIdle closes h as Close does, but serves the requests that come until there is none
// in ServeHTTP. It is for a site that is to get no more requests, while a server in front may
// still have some that it accepted before. Upgraded connections are closed at once.
func (h *Handler) CloseWhenIdle() error {
	h.drain()
	_ = h.awaitIdle(context.Background()) // which does not end
	return h.Close()
}

// InFlight returns how many requests are in ServeHTTP, or tell the application that held clients are gone.
func (h *Handler) InFlight() int64 { return h.inFlight.Load() }

// open refuses what comes after Close or Refuse.
func (h *Handler) open() error {
	switch {
	case h.closed.Load():
		return admission.ErrClosed
	case h.refuses.Load():
		return ErrShutdown
	}
	return nil
}

// depart ends a call of ServeHTTP. Calls may come after Close, which is why this is no
// sync.WaitGroup.
func (h *Handler) depart() {
	if h.inFlight.Add(-1) == 0 && h.awaited.Load() {
		h.wake()
	}
}

// awaitIdle waits until no call of ServeHTTP is left. Several callers may wait: the first to
// wake up wakes the next.
func (h *Handler) awaitIdle(ctx context.Context) error {
	h.awaited.Store(true)
	defer h.wake()
	for h.inFlight.Load() > 0 {
		select {
		case <-h.idle:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// wake has one caller of awaitIdle look again.
func (h *Handler) wake() {
	select {
	case h.idle <- struct{}{}:
	default: // it has one
	}
}

// leave closes the site.
func (h *Handler) leave() {
	h.closed.Store(true)
	h.endNotices()
	h.drain()
	_ = h.awaitIdle(context.Background()) // which does not end
	h.app.app.Leave(h.joined)
	if err := h.serves.Mapper.Close(); err != nil {
		h.cfg.Logger.Error("closing the root failed", "error", err.Error(), "advice", "none: it is gone with this process")
	}
}

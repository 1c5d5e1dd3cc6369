package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/registry"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/certs"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/handover"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/systemd"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tracing"
)

// server is what goes on over versions of the configuration: the applications, the logs, and which
// version is in force.
type server struct {
	registry *registry.Registry
	front    *front
	access   *accessLog
	errors   *errorLog
	slow     *slowLog
	log      *slog.Logger
	traces   *tracing.Tracing
	logins   *logins
	certs    *certs.Store
	inLoops  bool
	notifier *systemd.Notifier
	serving  string                 // what systemd is told of the state
	load     func() (*setup, error) // reads the configuration again; nil: there is no file
	ending   atomic.Bool
	most     int               // how many connections clients may have
	waiting  int               // and how many more may wait
	reach    *challengeAddress // nil: nothing listens, this is a check

	sockets *sockets // nil: this is a check
	clients *frontServer
	// status is made by newStatus when there is an address for it.
	status    *statusListener
	newStatus func(*setup) *statusListener
	removed   []*socket      // that are to be closed
	leaving   sync.WaitGroup // sockets that are being closed

	self        self
	life        context.Context // ends when the process is to end
	predecessor *predecessor    // the process that this one has taken the place of; nil: there was none
	successor   *handover.Successor
	succeeded   chan struct{} // closed when there is a successor

	changing sync.Mutex // held while another version takes over
	pace     pacer      // of who holds it
}

// endTime is how long the applications' processes may take to end, after the drain.
const endTime = 30 * time.Second

// siteGrace is how long a site stays open after a reload although no request is in it: a request
// for which it was found enters it at once, unless the machine is very busy.
const siteGrace = 2 * time.Second

func newServer(access *accessLog, log *errorLog, traces *tracing.Tracing) *server {
	s := &server{
		front: &front{access: access}, access: access, errors: log, log: log.log, traces: traces,
		logins: &logins{log: log.log}, slow: newSlowLog(log.log), certs: certs.New(log.log, filepath.Join(stateDirectory(), "acme")),
	}
	s.front.certs = s.certs
	s.life, s.succeeded = context.Background(), make(chan struct{})
	s.registry = registry.New(registry.Options{
		Log: s.log.Handler, Exiting: s.ending.Load, Grace: siteGrace, Reexec: true,
	})
	return s
}

// logOf returns the log of an application. It names the application if there may be several.
func (s *server) logOf(g *generation, application string) slog.Handler {
	if g.path == "" {
		return s.log.Handler()
	}
	return s.log.With("application", application).Handler()
}

// begin puts the first version in force.
func (s *server) begin(ctx context.Context, c *setup) error {
	g, err := s.build(c)
	if err != nil {
		return err
	}
	s.leaveTo(g)
	if err := s.start(ctx, g); err != nil {
		g.release()
		return err
	}
	s.certs.Use(g.pairs, g.acme)
	s.slow.after.Store(int64(c.Server.SlowLog))
	s.front.current.Store(g)
	s.tell(g)
	return nil
}

// start is that of a generation. Before, it makes the directory that the generation needs.
func (s *server) start(ctx context.Context, g *generation) error {
	if g.acme != nil {
		if err := g.acme.MakeDirectory(); err != nil {
			return g.ServerError(fmt.Errorf("acme.directory: %w (the user that Sluice runs as has to own it)", err))
		}
	}
	return g.start(ctx)
}

// tell logs what is probably not meant: of sites that were there before, it was told then.
func (s *server) tell(g *generation) {
	for _, sentence := range g.renamed {
		s.log.Warn("a setting has a new name: " + sentence)
	}
	for _, w := range g.warnings {
		s.log.Warn(w.Error())
	}
	for _, note := range g.notes {
		s.log.Warn(note.Error())
	}
	for i, site := range g.sites {
		if !site.isNew {
			continue
		}
		s.pace.pause()
		for _, unused := range site.bridge.Unused() {
			s.log.Warn("a setting has no effect: " + g.SiteError(i, unused).Error())
		}
	}
}

// The reasons why there is no reload.
var (
	errNoFile = errors.New("there is no configuration file to load again: sluice serve was started with flags (\"sluice restart\" restarts the application)")
	errEnding = errors.New("sluice is ending")
)

// reload reads the configuration again, and puts it in force. If anything is wrong with it, nothing
// changes. Requests go on at the sites where they have begun; what does not change in an
// application is not touched.
func (s *server) reload(ctx context.Context) (err error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	began := time.Now()
	if s.load == nil {
		return errNoFile
	}
	if s.isEnding() {
		return errEnding
	}
	ctx, cancel := s.untilEnd(ctx)
	defer cancel()
	s.notifier.Reloading()
	defer func() {
		state := s.serving
		if err != nil {
			state = "The file was not loaded again, the former settings are in force: " + err.Error()
			s.log.Error("the configuration was not loaded again; the one before is in force", "error", err.Error(), "advice", "correct the file (\"sluice config check\"), and load it again")
		}
		s.notifier.Ready(state)
	}()
	c, err := s.load()
	if err != nil {
		return err
	}
	fixed := c.Server.Keep(&s.front.current.Load().Server)
	listens, err := s.prepareFront(c)
	if err != nil {
		return c.ServerError(err)
	}
	defer listens.end()
	next, err := s.build(c)
	if err != nil {
		return err
	}
	s.leaveTo(next)
	if err := s.start(ctx, next); err != nil {
		next.release()
		return err
	}
	s.certs.Use(next.pairs, next.acme)
	old := s.front.current.Swap(next)
	listens.commit()
	old.stop(s.pace.pause)
	s.leaveTo(next) // it may have other numbers of workers, and other addresses
	s.slow.after.Store(int64(c.Server.SlowLog))
	s.logins.keep(next.sites)
	s.errors.level.Set(logLevels[c.Server.LogLevel])
	for _, key := range fixed {
		s.log.Warn("a setting of [server] has changed, and needs a new start of sluice serve; until then the former value is in force", "setting", key)
	}
	s.tell(next)
	s.log.Info("the configuration was loaded again", "file", c.path, "listen", listens.listen(), "applications", len(c.Applications), "sites", len(c.Sites), "changed_sites", next.changed(), "took_ms", milliseconds(time.Since(began)))
	return nil
}

// drainTimeout is how long requests may take to finish at the end.
func (s *server) drainTimeout() time.Duration {
	return time.Duration(*s.front.current.Load().Server.Timeouts.Drain)
}

// isEnding reports whether neither another version nor another process can take over any more.
func (s *server) isEnding() bool { return s.ending.Load() || s.life.Err() != nil }

// untilEnd returns a context that ends with ctx, and when the process is to end.
func (s *server) untilEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// settle waits until nothing is about to take over: what has begun is called off by the end of life, or
// done.
func (s *server) settle() {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.ending.Store(true)
}

// drain refuses new requests, unless there is a successor.
func (s *server) drain() {
	s.settle()
	s.front.drain(s.successor != nil)
	if g := s.front.current.Load(); g != nil {
		for _, a := range g.applications() {
			a.Application.Application().GiveBack()
		}
	}
	s.registry.EndGrace()
}

// endSites waits until the applications have been told of held clients that are gone: by the drain, most of
// all. ctx ends the waiting.
func (s *server) endSites(ctx context.Context) {
	var ends sync.WaitGroup
	for _, site := range s.front.current.Load().sites {
		ends.Go(func() { _ = site.bridge.Shutdown(ctx) }) // its error is that of ctx
	}
	ends.Wait()
}

// close closes the sites and the applications, and ends their processes.
func (s *server) close() {
	s.ending.Store(true)
	if g := s.front.current.Load(); g != nil {
		g.release()
	}
	s.registry.Close()
	s.certs.Close()
}

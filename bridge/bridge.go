package bridge

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/lines"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
)

// Bridge serves HTTP requests through a FastCGI application. It is an
// http.Handler, and safe for concurrent use.
type Bridge struct {
	cfg    Config
	mapper *cgi.Mapper
	spool  *spool.Store
	gate   *admission.Gate
	pool   *pool.Pool
	stderr *lines.Log

	processes keeper // nil: the application runs already

	mount    string // of the routes: Config.Mount without a slash at its end
	flows    *flows
	sharing  *sharing // nil: accounts may be used from anywhere
	refusals *refusals

	exchanges sync.Pool // of *exchange
	inFlight  atomic.Int64
	abandoned atomic.Int64

	ctx      context.Context // ends when Close begins to wait for abandoned exchanges
	cancel   context.CancelFunc
	handlers sync.WaitGroup // calls of ServeHTTP
	orphans  sync.WaitGroup // abandoned exchanges
	close    func()
}

// New checks cfg and returns a Bridge. It connects to nothing, and starts what Spawn
// says. An error names the key it is about.
func New(cfg Config) (*Bridge, error) {
	if err := cfg.normalize(); err != nil {
		return nil, err
	}
	list, err := cfg.instances()
	if err != nil {
		return nil, err
	}
	b := &Bridge{cfg: cfg, stderr: lines.NewLog(cfg.Logger, "application stderr"), refusals: newRefusals(cfg.Logger)}
	b.mount = strings.TrimSuffix(cfg.Mount, "/")
	if b.flows, err = newFlows(cfg.Flow.Key); err != nil {
		return nil, err
	}
	if n := cfg.Flow.MaxAddresses; n > 0 {
		b.sharing = newSharing(n, time.Duration(cfg.Flow.Per), cfg.Flow.Excess == Evict)
	}
	b.exchanges.New = func() any { return new(exchange) }
	b.ctx, b.cancel = context.WithCancel(context.Background())
	if b.spool, err = spool.New(cfg.spool()); err != nil {
		return nil, err
	}
	if b.pool, err = pool.New(cfg.pool(list)); err != nil {
		return nil, err
	}
	gate := cfg.gate()
	gate.Capacity, gate.OnStall = b.pool.Capacity, b.onStall
	if b.gate, err = admission.New(gate); err != nil {
		b.pool.Close()
		return nil, err
	}
	if b.mapper, err = cgi.NewMapper(cfg.cgi()); err != nil {
		b.pool.Close()
		return nil, err
	}
	b.close = sync.OnceFunc(b.shutdown)
	if err := b.spawn(); err != nil {
		b.close()
		return nil, fmt.Errorf("spawn: %w", err)
	}
	return b, nil
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
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn() // its own Close would say that all is well
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it, Close is as before
	}
	_ = c.Close()
}

// serve reports whether the client's connection must be aborted.
func (b *Bridge) serve(w http.ResponseWriter, r *http.Request) (abort bool) {
	b.handlers.Add(1)
	defer b.handlers.Done()
	b.inFlight.Add(1)
	defer b.inFlight.Add(-1)

	x := b.exchanges.Get().(*exchange)
	x.b, x.w, x.r = b, w, r
	started := time.Now()
	x.handle()
	if b.cfg.Observe != nil {
		x.out.Total = time.Since(started)
		b.cfg.Observe(r, &x.out)
	}
	abort = x.out.Aborted
	x.reset()
	b.exchanges.Put(x)
	return abort
}

// stderrOf returns where the application's standard error for one request goes.
// Path is empty if the request is not known any more.
func (b *Bridge) stderrOf(path, instance string) lines.Source {
	return b.stderr.Source(slog.String("path", path), slog.String("instance", instance))
}

// Client returns the address r comes from, as far as it can be trusted.
func (b *Bridge) Client(r *http.Request) string { return b.client(r).Addr }

func (b *Bridge) client(r *http.Request) cgi.Client {
	c := b.mapper.Client(r)
	if b.cfg.Identify != nil {
		b.cfg.Identify(r, &c)
	}
	return c
}

// StaticFile returns the file under Root that r asks for, if there is one that may
// be sent as it is: no script, no dotfile. The bridge itself answers it with 404.
func (b *Bridge) StaticFile(r *http.Request) (name string, ok bool) { return b.mapper.StaticFile(r) }

// Root is the directory tree the preset serves scripts from, nil if it has none.
func (b *Bridge) Root() *cgi.Root { return b.mapper.Root() }

// Close refuses new requests, waits for those in ServeHTTP, ends what waits for
// abandoned answers, closes every connection and ends the processes it started. Stop
// the server in front first: a client that stays and an answer that does not end keep
// Close waiting. It may be called more than once.
func (b *Bridge) Close() error {
	b.close()
	return nil
}

func (b *Bridge) shutdown() {
	b.gate.Close()
	b.handlers.Wait()
	b.cancel()
	b.orphans.Wait()
	b.refusals.close()
	b.pool.Close()
	if b.processes != nil {
		if err := b.processes.Close(); err != nil {
			b.cfg.Logger.Error("ending the application failed", "error", err.Error())
		}
	}
	if err := b.mapper.Close(); err != nil {
		b.cfg.Logger.Error("closing the root failed", "error", err.Error())
	}
	b.stderr.Flush()
}

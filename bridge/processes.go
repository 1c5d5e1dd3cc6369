package bridge

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// ErrNotSpawned is what Restart returns where there is nothing to restart.
var ErrNotSpawned = errors.New("the application was not started by Sluice (spawn is not set)")

// keeper keeps the application's processes, as a backend needs it: a supervise.Group.
type keeper interface {
	Answered(addr, route string)
	Lost(addr string, r supervise.Request)
	Wanted()
	Stalled(began time.Time)
	Refusing() (time.Duration, bool)
	Quarantined(route string) (time.Duration, bool)
	Restart(ctx context.Context) error
	Prepare(cfg supervise.Config) (commit, cancel func(), err error)
	Snapshot() supervise.Snapshot
	Close() error
}

// group is a keeper for real.
type group struct{ *supervise.Group }

func startGroup(cfg supervise.Config) (keeper, error) {
	g, err := supervise.Start(cfg)
	if err != nil {
		return nil, err
	}
	return group{g}, nil
}

func (g group) Prepare(cfg supervise.Config) (commit, cancel func(), err error) {
	c, err := g.Group.Prepare(cfg)
	if err != nil {
		return nil, nil, err
	}
	return c.Commit, c.Cancel, nil
}

// spawn starts the application. The backend is complete but for that: its processes join
// the pool as they come.
func (b *backend) spawn() error {
	c := b.settings.Load()
	if c.Spawn == nil {
		return nil
	}
	if supervise.Lacks != "" && b.processes.get() == nil {
		b.hooks.Logger.Warn(supervise.Lacks)
	}
	return b.processes.start(func() (keeper, error) { return b.hooks.startGroup(b.group(c)) })
}

// group is what the processes are kept by.
func (b *backend) group(c *ApplicationConfig) supervise.Config {
	g := supervised(c.Spawn, c.Workers)
	g.Front, g.Logger, g.Reexec = front{b}, b.hooks.Logger, b.hooks.Reexec
	if c.Spawn.Ready != "" {
		g.Ready = b.ready
	}
	return g
}

// Spawned reports whether the application was started by b.
func (b *backend) Spawned() bool { return b.processes != nil }

// Restart replaces all of the application's processes, one after the other, without
// losing a request, and returns when that is done. Without ApplicationConfig.Spawn it returns
// ErrNotSpawned.
func (b *backend) Restart(ctx context.Context) error {
	if b.processes == nil {
		return ErrNotSpawned
	}
	return b.processes.Restart(ctx)
}

// front is a backend as its processes see it: whoever sends the requests.
type front struct{ b *backend }

var _ supervise.Front = front{}

func (f front) Add(name string, alive func() bool) error {
	in, err := f.b.hooks.instance(name)
	if err != nil {
		return err
	}
	in.Alive = alive
	return f.b.pool.Add(in)
}

func (f front) Drain(addr string) <-chan struct{} { return f.b.pool.Drain(addr) }

func (f front) Resume(addr string) { f.b.pool.Resume(addr) }

func (f front) Remove(addr string) { f.b.pool.Remove(addr) }

func (f front) Load() supervise.Load {
	inUse, waiting := f.b.gate.Load()
	// The gate may have let in more than there are connections for: it looks at what the
	// instances hold only now and then.
	started := min(f.b.pool.Waiting(), inUse)
	return supervise.Load{InFlight: inUse - started, Waiting: waiting + started}
}

func (f front) Connected(addr string) (n int, steady bool) { return f.b.pool.Connected(addr) }

func (f front) InFlight(addr string) (list []supervise.Request) {
	for _, r := range f.b.gate.InFlight() {
		if r.Instance == addr {
			list = append(list, supervise.Request{Method: r.Method, Path: r.Path, Route: r.Route, Age: r.Age})
		}
	}
	return list
}

func (f front) Fail(addr string) { f.b.pool.Fail(addr) }

func (f front) Down() {
	f.b.gate.RefuseWaiting(admission.Down)
	if told := f.b.hooks.OnGivenUp; told != nil {
		told()
	}
}

// onStall tells whoever needs to know that the application answers nobody, or does again:
// the log last, for that may be slow.
func (b *backend) onStall(s admission.Stall) {
	defer b.logStall(s)
	if b.processes != nil {
		began := s.Began
		if !s.Ended.IsZero() {
			began = time.Time{}
		}
		b.processes.Stalled(began)
	}
	if told := b.hooks.OnStall; told != nil {
		told(s)
	}
}

// asked is what an attempt asks of the application, for those who keep its processes.
type asked struct {
	of                  keeper // nil: nobody needs to know
	method, path, route string
	at                  time.Time
}

// noteAsked says what the attempt that begins asks for.
func (x *exchange) noteAsked() {
	if x.b.processes != nil {
		x.held.asked = asked{x.b.processes, x.ask.Method, x.ask.Path, x.ask.Route, x.sentAt}
	}
}

// answered tells that the header of the answer has come.
func (a *asked) answered(addr string) {
	if a.of != nil {
		a.of.Answered(addr, a.route)
	}
}

// failed tells that the connection has ended before the answer did, if err says so. A
// request that the application provably never read, or had no room for, cannot be what
// it died of.
func (a *asked) failed(addr string, err error) {
	if a.of == nil || !endedEarly(err) {
		return
	}
	a.of.Lost(addr, supervise.Request{Method: a.method, Path: a.path, Route: a.route, Age: time.Since(a.at)})
}

func endedEarly(err error) bool {
	var e *pool.Error
	if !errors.As(err, &e) || e.Replay == pool.ReplaySafe || e.Full {
		return false
	}
	return errors.Is(e, io.EOF) || errors.Is(e, syscall.ECONNRESET) || errors.Is(e, syscall.EPIPE)
}

package app

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/acceptqueue"
	"github.com/sluice-proxy/sluice/bridge/internal/unread"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
)

// connections returns the configuration of the pool, without instances. app is complete.
func connections(app *config.Application, h *Hooks) pool.Config {
	return pool.Config{
		Codec:          codecOf(app),
		Workers:        app.Workers,
		DialTimeout:    time.Duration(app.Timeouts.Dial),
		WaitTimeout:    time.Duration(app.Queue.Timeout),
		SendTimeout:    time.Duration(app.Timeouts.Send),
		IdleTimeout:    time.Duration(app.Timeouts.Idle),
		CloseDelay:     CloseDelay(app),
		ClosesWhenFull: closesWhenFull(app),
		ClosesIdle:     app.Preset == cgi.PresetPHP,
		WorksOn:        app.Preset == cgi.PresetPHP,
		KeepAlive:      keepAlive(app),
		Multiplex:      map[config.Switch]pool.Multiplex{config.On: pool.MultiplexOn, config.Auto: pool.MultiplexAuto, config.Off: pool.MultiplexOff}[app.Multiplex],
		Logger:         h.Logger,
	}
}

// closesWhenFull reports whether the application may accept a connection that it has no worker for,
// and close it. Processes that run scripts let connections wait in the listen backlog, and so
// does uWSGI, which closes a connection unanswered if it refuses the request: then another
// attempt would be refused, too. Servers of HTTP let connections wait, or answer 503.
func closesWhenFull(app *config.Application) bool {
	return !app.Scripts() && app.Protocol != config.UWSGI && app.Protocol != config.HTTP
}

// CloseDelay is how long a worker needs to be free after its connection was closed.
// flup was measured to turn away one connection in two at once, and one in 300
// after 1 ms; on a busy machine it takes longer.
func CloseDelay(app *config.Application) time.Duration {
	if !closesWhenFull(app) {
		return 0
	}
	return 10 * time.Millisecond
}

func keepAlive(app *config.Application) pool.KeepAlive {
	switch {
	case app.KeepAlive == config.Off:
		return pool.KeepOff
	case app.KeepAlive == config.Auto && !app.Scripts() && app.Protocol != config.HTTP: // HTTP says so
		return pool.KeepAuto
	}
	return pool.KeepOn
}

// bodies returns the configuration of the spool.
func bodies(s config.Spool, logger *slog.Logger) spool.Config {
	return spool.Config{Dir: s.Dir, Buffer: s.Buffer, Memory: s.Memory, Disk: s.Disk, Logger: logger}
}

// instances returns the instances at backends.
func (h *Hooks) instances(backends []string) (list []pool.Instance, err error) {
	for _, name := range backends {
		in, err := h.instance(name)
		if err != nil {
			return nil, err
		}
		list = append(list, in)
	}
	return list, nil
}

func (h *Hooks) instance(name string) (pool.Instance, error) {
	network, addr, err := config.ParseAddress(name)
	return pool.Instance{
		Addr:    name,
		Dial:    func(ctx context.Context) (net.Conn, error) { return h.Dial(ctx, network, addr) },
		Queue:   acceptQueue(network, addr),
		Relayed: network != "unix",
		Unread:  h.Unread,
	}, err
}

// unreadOf returns what tells how much of what was written to a connection was not read,
// nil if nothing does.
func unreadOf(c net.Conn) pool.Unread {
	if u := unread.Of(c); u != nil {
		return u
	}
	return nil
}

// acceptQueue returns a function that asks the kernel how many connections wait at
// an address, nil if that is a name: a snapshot must not wait for it to be looked
// up.
func acceptQueue(network, addr string) func() (depth, backlog int, err error) {
	if host, _, _ := net.SplitHostPort(addr); network != "unix" && net.ParseIP(host) == nil {
		return nil
	}
	return func() (int, int, error) {
		q, err := acceptqueue.Of(network, addr)
		return q.Depth, q.Backlog, err
	}
}

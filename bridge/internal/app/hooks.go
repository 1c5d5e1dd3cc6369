package app

import (
	"context"
	"log/slog"
	"net"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/internal/socket"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// Hooks are the logger and the callbacks of an Application; bridge.ApplicationHooks documents
// those that it has, too. The others are replaced in tests.
type Hooks struct {
	Logger    *slog.Logger
	OnStall   func(admission.Stall)
	OnOutage  func(instance string, err error)
	OnGivenUp func()
	Reexec    bool

	Dial   func(ctx context.Context, network, addr string) (net.Conn, error) // default: socket.Dial
	Unread func(net.Conn) pool.Unread                                        // default: the kernel's
	Start  func(context.Context, supervise.Config) (Supervisor, error)       // default: supervise.Start
}

func (h Hooks) withDefaults() Hooks {
	if h.Dial == nil {
		h.Dial = socket.Dial
	}
	if h.Unread == nil {
		h.Unread = unreadOf
	}
	if h.Start == nil {
		h.Start = startGroup
	}
	if h.Logger == nil {
		h.Logger = slog.New(slog.DiscardHandler)
	}
	return h
}

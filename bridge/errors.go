package bridge

import (
	"github.com/sluice-proxy/sluice/bridge/internal/app"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
)

// StatusClientClosed is the status an Outcome carries if the client left before it was
// answered. It is nginx's, and never sent.
const StatusClientClosed = exchange.StatusClientClosed

var (
	// ErrShutdown is the cause with which a server cancels the contexts of requests that have
	// not finished when it must end. Their clients have not left: those that were not sent
	// anything get 503, the others' connections are cut. http.Server.BaseContext is the place
	// for such a context.
	ErrShutdown = exchange.ErrShutdown
	// ErrOtherKind says that an application cannot become what a configuration asks for while
	// it is in use, or serve such a site: that needs an Application of its own.
	ErrOtherKind = app.ErrOtherKind
	// ErrNotSpawned is what Restart returns if there is nothing to restart.
	ErrNotSpawned = app.ErrNotSpawned
	// ErrNotStarted is what Restart returns before Start.
	ErrNotStarted = app.ErrNotStarted
	// ErrSpawned is what Drain and Resume return if instances come and go by themselves.
	ErrSpawned = app.ErrSpawned
)

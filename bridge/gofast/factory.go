package gofast

import (
	"net"
	"time"

	"github.com/yookoala/gofast"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/cgiserver"
)

// idleTimeout is long: gofast.ClientPool has a limit of its own, and does not expect another.
const idleTimeout = 24 * time.Hour

// ConnFactory returns a factory of connections on which h answers. Set bridge.SiteHooks.FromWebServer
// if h has the preset php or cgi and no root: gofast's middleware says which script is meant.
func ConnFactory(h *bridge.Handler) gofast.ConnFactory {
	s := &cgiserver.Server{Handler: h, Authorizer: true, ForwardStderr: true, IdleTimeout: idleTimeout}
	return func() (net.Conn, error) {
		client, server := net.Pipe()
		go s.ServeConn(server) // until the client closes its end
		return client, nil
	}
}

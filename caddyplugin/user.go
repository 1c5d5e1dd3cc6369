package caddyplugin

import (
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/registry"
)

// newUser returns the configuration of a module, and a registry.User with the module's log and events.
func newUser(ctx caddy.Context) (*registry.Configuration, *registry.User, error) {
	emit, err := newEmitter(ctx)
	if err != nil {
		return nil, nil, err
	}
	app, err := ctx.App("sluice")
	if err != nil {
		return nil, nil, err
	}
	return app.(*App).configuration, &registry.User{
		Name: string(ctx.Module().CaddyModule().ID), Log: ctx.Slogger().Handler(), Events: emit,
	}, nil
}

// clientConn returns the connection of a request; nil for one of a web server, and in HTTP/3.
func clientConn(_ http.ResponseWriter, r *http.Request) net.Conn {
	c, _ := r.Context().Value(caddyhttp.ConnCtxKey).(net.Conn)
	return c
}

// hooksOf returns the callbacks of a site.
func hooksOf(site *config.Site) bridge.SiteHooks {
	h := bridge.SiteHooks{Observe: observe, Identify: identify, SameForAllPaths: true, RootOf: rootOf(site.Root), ClientConn: clientConn}
	for _, value := range site.Env {
		if strings.Contains(value, "{") {
			h.Expand = expand
		}
	}
	return h
}

package caddyplugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
)

// networks are the networks of Caddy's listeners at which web servers speak FastCGI or SCGI, as in
// "bind fcgi+unix//run/gate.sock". Their names do not begin with unix: Caddy holds a lock while a
// listener of such a network is made, and listenWebServer takes the same lock.
var networks = map[string]cgiserver.Protocol{
	"fcgi": cgiserver.FastCGI, "fcgi+unix": cgiserver.FastCGI,
	"scgi": cgiserver.SCGI, "scgi+unix": cgiserver.SCGI,
}

func init() {
	for network := range networks {
		caddy.RegisterNetwork(network, listenWebServer)
	}
}

// defaultSocketMode is the mode of a unix socket without one of its own. Who may connect is believed.
const defaultSocketMode = "|0660"

// WebServers are the settings for web servers that speak FastCGI or SCGI to Caddy, at servers of the
// http app whose addresses begin with `fcgi/`, `fcgi+unix/`, `scgi/` or `scgi+unix/`. The server's
// `read_header_timeout` and `idle_timeout` hold for them as well, and so does a `max_header_bytes` of more
// than 256 KiB.
type WebServers struct {
	// The group of their unix sockets, by name or number, such as `www-data`. Default: the group that
	// Caddy runs as.
	SocketGroup string `json:"socket_group,omitempty"`
	// How many connections each address may have. More wait. Default: 1024.
	MaxConnections int `json:"max_connections,omitempty"`
	// How many requests each address may have on all its connections. More are answered with 503.
	// Default: 4096.
	MaxRequests int `json:"max_requests,omitempty"`
}

func (w *WebServers) validate() error {
	if w.MaxConnections < 0 {
		return fmt.Errorf("max_connections: is %d, want at least 1", w.MaxConnections)
	}
	if w.MaxRequests < 0 {
		return fmt.Errorf("max_requests: is %d, want at least 1", w.MaxRequests)
	}
	return nil
}

// webServerKey is what a sharedServer is made of. Configurations with the same key share one.
type webServerKey struct {
	network, host, ports string
	offset               uint
	settings             WebServers
	header, idle         time.Duration
	maxParams            int
}

// listenWebServer returns a listener for the server of the http app that has the address. It is a
// caddy.ListenerFunc.
func listenWebServer(ctx context.Context, network, host, ports string, offset uint, cfg net.ListenConfig) (any, error) {
	key := webServerKey{network: network, host: host, ports: ports, offset: offset}
	if isUnixNetwork(network) {
		if host == "" || host[0] != '/' && host[0] != '@' {
			return nil, fmt.Errorf("the path of the socket is %q, want an absolute one: %s//run/gate.sock", host, network)
		}
		key.ports = "" // Caddy gives these addresses the port of the site
	}
	app, server, err := serverAt(ctx, key)
	if err != nil {
		return nil, err
	}
	// Negative ones, which mean none in Caddy, are the defaults: a connection must not be kept for ever.
	key.header, key.idle = max(0, time.Duration(server.ReadHeaderTimeout)), max(0, time.Duration(server.IdleTimeout))
	key.maxParams = max(server.MaxHeaderBytes, cgiserver.DefaultMaxParams) // Caddy's default is too little for variables
	if key.settings, err = webServersIn(ctx); err != nil {
		return nil, err
	}
	return attach(key, server, time.Duration(app.GracePeriod), cfg)
}

// serverAt returns the http app of a configuration and the server that has the address. Only one
// may have it: requests do not say which of several they are for.
func serverAt(ctx context.Context, key webServerKey) (*caddyhttp.App, *caddyhttp.Server, error) {
	configuration, ok := ctx.(caddy.Context)
	if !ok {
		return nil, nil, fmt.Errorf("only servers of the http app can listen at %s/", key.network)
	}
	module, err := configuration.AppIfConfigured("http")
	if err != nil {
		return nil, nil, err
	}
	app := module.(*caddyhttp.App)
	var found []*caddyhttp.Server
	for _, server := range app.Servers {
		if !slices.ContainsFunc(server.Listen, key.isAt) {
			continue
		}
		if len(server.TLSConnPolicies) > 0 {
			return nil, nil, fmt.Errorf("web servers speak %s without TLS: begin the address of each site there with http://, and give sites with https:// a block of their own", key.network)
		}
		found = append(found, server)
	}
	switch len(found) {
	case 0:
		return nil, nil, fmt.Errorf("no server of the http app listens at %s/%s", key.network, key.host)
	case 1:
		return app, found[0], nil
	default:
		return nil, nil, fmt.Errorf("two servers listen at %s/%s: give all sites of the socket the same port, or sockets of their own", key.network, key.host)
	}
}

// isAt reports whether an address of a server is that of k.
func (k webServerKey) isAt(address string) bool {
	network, host, ports, err := caddy.SplitNetworkAddress(address)
	if err != nil || network != k.network {
		return false
	}
	if isUnixNetwork(network) {
		path, _, _ := strings.Cut(host, "|")
		own, _, _ := strings.Cut(k.host, "|")
		return path == own
	}
	return host == k.host && (ports == k.ports || ports == "" && k.ports == "0")
}

// webServersIn returns the settings of a configuration.
func webServersIn(ctx context.Context) (WebServers, error) {
	app, err := ctx.(caddy.Context).AppIfConfigured("sluice")
	switch {
	case errors.Is(err, caddy.ErrNotConfigured):
		return WebServers{}, nil
	case err != nil:
		return WebServers{}, err
	case app.(*App).WebServers == nil:
		return WebServers{}, nil
	}
	return *app.(*App).WebServers, nil
}

// listen opens the socket. Several configurations may have it open.
func (k webServerKey) listen(cfg net.ListenConfig) (net.Listener, error) {
	address := caddy.NetworkAddress{Network: "unix", Host: k.host}
	if !isUnixNetwork(k.network) {
		var err error
		if address, err = caddy.ParseNetworkAddress(caddy.JoinNetworkAddress("tcp", k.host, k.ports)); err != nil {
			return nil, err
		}
	} else if !strings.Contains(k.host, "|") {
		address.Host += defaultSocketMode
	}
	opened, err := address.Listen(context.Background(), k.offset, cfg)
	if err != nil {
		return nil, err
	}
	l := opened.(net.Listener) // as of all networks of streams
	if err := k.setGroup(address.Host); err != nil {
		_ = l.Close() // nothing was accepted
		return nil, err
	}
	k.warn(address)
	return l, nil
}

// setGroup gives a unix socket its group.
func (k webServerKey) setGroup(host string) error {
	group := k.settings.SocketGroup
	if group == "" || !strings.HasPrefix(host, "/") {
		return nil
	}
	id := group
	if g, err := user.LookupGroup(group); err == nil {
		id = g.Gid
	}
	gid, err := strconv.Atoi(id)
	if err != nil || gid < 0 {
		return fmt.Errorf("sluice: web_servers: socket_group %q: there is no such group", group)
	}
	path, _, _ := strings.Cut(host, "|")
	if err := os.Chown(path, -1, gid); err != nil {
		return fmt.Errorf("sluice: web_servers: socket_group %q: %w (Caddy's user must be a member of the group)", group, err)
	}
	return nil
}

// warn tells the log who may pass for a web server.
func (k webServerKey) warn(address caddy.NetworkAddress) {
	if _, mode, isUnix := strings.Cut(address.Host, "|"); isUnix {
		if bits, err := strconv.ParseUint(mode, 8, 32); err == nil && bits&0o002 != 0 {
			webServerLog.Warn("every user of this machine can pass for the web server, and for any user and address; the mode |0660 and socket_group say who may connect", "socket", address.Host)
		}
		return
	}
	if ip, err := netip.ParseAddr(k.host); k.host != "localhost" && (err != nil || !ip.IsLoopback()) {
		webServerLog.Warn("whoever can connect to this address can pass for the web server, and for any user and address; listen on 127.0.0.1 or a unix socket, or let a firewall admit the web server alone", "address", address.At(k.offset).String())
	}
}

func isUnixNetwork(network string) bool { return strings.HasSuffix(network, "+unix") }

// fromWebServer reports whether all requests of the server that a handler is provisioned for come
// from web servers.
func fromWebServer(ctx caddy.Context) bool {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return ok && len(server.Listen) > 0 && !slices.ContainsFunc(server.Listen, func(address string) bool {
		network, _, _ := strings.Cut(address, "/")
		return networks[strings.ToLower(network)] == ""
	})
}

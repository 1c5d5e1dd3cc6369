package main

import (
	"cmp"
	"log/slog"
	"net"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// protocolHTTP is what --listen serves without a protocol. The others are those of cgiserver.
const protocolHTTP cgiserver.Protocol = "http"

// protocols are those of --listen, by what an address begins with.
var protocols = []struct {
	scheme   string
	protocol cgiserver.Protocol
}{{"fcgi", cgiserver.FastCGI}, {"scgi", cgiserver.SCGI}}

// frontEndpoint is an address of listen.
type frontEndpoint struct {
	endpoint
	protocol cgiserver.Protocol
}

// Default permissions of unix sockets. What a web server says is believed.
const modeHTTP, modeWebServer, modeStatus config.FileMode = 0o666, 0o660, 0o660

// endpoints returns the addresses of listen.
func (s *setup) endpoints() ([]frontEndpoint, error) {
	var list []frontEndpoint
	for _, text := range s.Server.Listen {
		e := frontEndpoint{endpoint{"listen", text, s.Server.ListenMode, s.Server.ListenOwner, s.Server.ListenGroup, s.nameOf}, protocolHTTP}
		if strings.HasPrefix(text, "uwsgi:") || strings.HasPrefix(text, "uwsgi+") {
			return nil, e.errorf("Sluice takes requests in HTTP, FastCGI and SCGI, and not in uwsgi (which nginx, lighttpd and Apache speak besides)")
		}
		usual := modeHTTP
		for _, p := range protocols {
			if addr, ok := cutProtocol(text, p.scheme); ok {
				e.protocol, e.addr, usual = p.protocol, addr, modeWebServer
			}
		}
		e.mode = cmp.Or(e.mode, usual)
		list = append(list, e)
	}
	return list, nil
}

// statusEndpoint is the address of status.
func (s *setup) statusEndpoint() *endpoint {
	v := &s.Server
	return &endpoint{"status", v.Status, cmp.Or(v.StatusMode, modeStatus), v.StatusOwner, v.StatusGroup, s.nameOf}
}

// checkListen refuses addresses that are none, and settings of sockets where there are none.
func (s *setup) checkListen() error {
	list, err := s.endpoints()
	if err != nil {
		return err
	}
	v := &s.Server
	if err := needsNoSocket("status", v.Status, v.StatusMode, v.StatusOwner, v.StatusGroup, s.nameOf); err != nil {
		return err
	}
	if slices.ContainsFunc(list, func(e frontEndpoint) bool { return isUnix(e.addr) }) {
		return nil
	}
	return needsNoSocket("listen", strings.Join(v.Listen, ", "), v.ListenMode, v.ListenOwner, v.ListenGroup, s.nameOf)
}

// cutProtocol returns what follows the protocol: fcgi://host:port, fcgi+unix:/path, and as
// others write them, fcgi:host:port and fcgi:unix:/path.
func cutProtocol(text, scheme string) (addr string, ok bool) {
	rest, ok := strings.CutPrefix(text, scheme)
	if !ok {
		return "", false
	}
	if path, ok := strings.CutPrefix(rest, "+unix:"); ok {
		return "unix:" + path, true
	}
	if addr, ok := strings.CutPrefix(rest, "://"); ok {
		return addr, true
	}
	return strings.CutPrefix(rest, ":")
}

// onlyWebServers reports whether all requests come from web servers, in FastCGI or SCGI.
func (s *setup) onlyWebServers() bool {
	list, err := s.endpoints()
	return err == nil && !slices.ContainsFunc(list, func(e frontEndpoint) bool { return e.protocol == protocolHTTP })
}

// open listens at all addresses, and returns the listeners of each protocol.
func (s *setup) open(log *slog.Logger) (opened map[cgiserver.Protocol][]net.Listener, err error) {
	list, err := s.endpoints()
	if err != nil {
		return nil, err
	}
	opened = make(map[cgiserver.Protocol][]net.Listener)
	for _, e := range list {
		l, err := e.listen()
		if err != nil {
			closeAll(opened)
			return nil, err
		}
		opened[e.protocol] = append(opened[e.protocol], l)
		e.warn(l.Addr(), s.trustedProxies(), log)
	}
	return opened, nil
}

// warn tells the log who may pass for a web server or a proxy that is believed.
func (e *frontEndpoint) warn(addr net.Addr, trusted []string, log *slog.Logger) {
	tcp, isTCP := addr.(*net.TCPAddr)
	switch web := e.protocol != protocolHTTP; {
	case !web && e.worldWritable() && slices.Contains(trusted, "unix"):
		log.Warn("every user of this machine can pass for the proxy that "+e.nameOf("trusted_proxies")+" unix believes; "+e.whoMay(), "listen", e.addr)
	case web && e.worldWritable():
		log.Warn("every user of this machine can pass for the web server, and for any user and address; "+e.whoMay(), "listen", e.addr)
	case web && isTCP && !tcp.IP.IsLoopback():
		log.Warn("whoever can connect to this address can pass for the web server, and for any user and address; listen on 127.0.0.1 or a unix socket, or let a firewall admit the web server alone", "listen", addr.String())
	case web && !isTCP && e.group == "" && e.owner == "":
		log.Info("only the user and the group that Sluice runs as may connect; name the web server's group with "+e.nameOf("listen_group"), "listen", e.addr)
	}
}

// whoMay is advice for a unix socket that everybody may connect to.
func (e *frontEndpoint) whoMay() string {
	return e.nameOf("listen_mode") + " 0660 and " + e.nameOf("listen_group") + " say who may connect"
}

func closeAll(opened map[cgiserver.Protocol][]net.Listener) {
	for _, list := range opened {
		for _, l := range list {
			_ = l.Close() // nothing was accepted
		}
	}
}

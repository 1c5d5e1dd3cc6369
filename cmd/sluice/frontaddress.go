package main

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
)

// protocolHTTP is what --listen serves without a protocol. The others are those of cgiserver.
const protocolHTTP cgiserver.Protocol = "http"

// protocols are those of --listen, by what an address begins with.
var protocols = []struct {
	scheme   string
	protocol cgiserver.Protocol
}{{"fcgi", cgiserver.FastCGI}, {"scgi", cgiserver.SCGI}}

// frontAddresses are those of --listen, which may be several.
type frontAddresses struct {
	texts []string
	endpoint
}

// frontEndpoint is one of them.
type frontEndpoint struct {
	endpoint
	protocol cgiserver.Protocol
}

func (a *frontAddresses) register(f *pflag.FlagSet) {
	a.flag = "listen"
	f.StringArrayVar(&a.texts, "listen", []string{"127.0.0.1:8080"}, "serve HTTP at `ADDR`: host:port, :port or unix:/path; or a web server in FastCGI or SCGI: fcgi://127.0.0.1:9001, fcgi+unix:/path, scgi+unix:/path; may be given several times")
	a.registerSocket(f, 0o666, "users with write permission may connect; 0660 for FastCGI and SCGI unless it is given")
}

// endpoints returns them, and an error if one of them is none, or something is said of a unix
// socket that there is none of.
func (a *frontAddresses) endpoints() ([]frontEndpoint, error) {
	var list []frontEndpoint
	sockets := false
	for _, text := range a.texts {
		e := frontEndpoint{a.endpoint, protocolHTTP}
		if e.addr = text; strings.HasPrefix(text, "uwsgi:") || strings.HasPrefix(text, "uwsgi+") {
			return nil, fmt.Errorf("--listen %s: Sluice takes requests in HTTP, FastCGI and SCGI, and not in uwsgi (which nginx, lighttpd and Apache speak besides)", text)
		}
		for _, p := range protocols {
			if addr, ok := cutProtocol(text, p.scheme); ok {
				e.protocol, e.addr = p.protocol, addr
			}
		}
		if isUnix(e.addr) {
			sockets = true
			if e.protocol != protocolHTTP && !a.set.Changed(a.flag+"-mode") {
				e.mode = 0o660 // what a web server says is believed
			}
		}
		list = append(list, e)
	}
	if !sockets {
		a.addr = strings.Join(a.texts, ", ")
		return list, a.check()
	}
	return list, nil
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
func (a *frontAddresses) onlyWebServers() bool {
	list, err := a.endpoints()
	return err == nil && !slices.ContainsFunc(list, func(e frontEndpoint) bool { return e.protocol == protocolHTTP })
}

// open listens at all addresses, and returns the listeners of each protocol.
func (a *frontAddresses) open(trusted []string, log *slog.Logger) (opened map[cgiserver.Protocol][]net.Listener, err error) {
	list, err := a.endpoints()
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
		e.warn(l.Addr(), trusted, log)
	}
	return opened, nil
}

// warn tells the log who may pass for a web server or a proxy that is believed.
func (e *frontEndpoint) warn(addr net.Addr, trusted []string, log *slog.Logger) {
	tcp, isTCP := addr.(*net.TCPAddr)
	switch web := e.protocol != protocolHTTP; {
	case !web && e.worldWritable() && slices.Contains(trusted, "unix"):
		log.Warn("every user of this machine can pass for the proxy that --trusted-proxy unix believes; --listen-mode 0660 and --listen-group say who may connect", "listen", e.addr)
	case web && e.worldWritable():
		log.Warn("every user of this machine can pass for the web server, and for any user and address; --listen-mode 0660 and --listen-group say who may connect", "listen", e.addr)
	case web && isTCP && !tcp.IP.IsLoopback():
		log.Warn("whoever can connect to this address can pass for the web server, and for any user and address; listen on 127.0.0.1 or a unix socket, or let a firewall admit the web server alone", "listen", addr.String())
	case web && !isTCP && e.group == "" && e.owner == "":
		log.Info("only the user and the group that Sluice runs as may connect; name the web server's group with --listen-group", "listen", e.addr)
	}
}

func closeAll(opened map[cgiserver.Protocol][]net.Listener) {
	for _, list := range opened {
		for _, l := range list {
			_ = l.Close() // nothing was accepted
		}
	}
}

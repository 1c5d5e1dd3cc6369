package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/systemd"
)

// protocolHTTP is what --listen serves without a protocol, protocolHTTPS the same over TLS. The others
// are those of cgiserver, for web servers. protocolStatus is that of the address of status.
const protocolHTTP, protocolHTTPS, protocolStatus cgiserver.Protocol = "http", "https", "status"

// ofWebServers reports whether requests in a protocol come from web servers.
func ofWebServers(p cgiserver.Protocol) bool { return p == cgiserver.FastCGI || p == cgiserver.SCGI }

// protocols are those of --listen, by what an address begins with.
var protocols = []struct {
	scheme   string
	protocol cgiserver.Protocol
}{{"https", protocolHTTPS}, {"fcgi", cgiserver.FastCGI}, {"scgi", cgiserver.SCGI}}

// frontEndpoint is an address of listen.
type frontEndpoint struct {
	endpoint
	protocol  cgiserver.Protocol
	inherited bool // the socket is systemd's, and so is who may connect
}

// Default permissions of unix sockets. What a web server says is believed.
const modeHTTP, modeWebServer, modeStatus config.FileMode = 0o666, 0o660, 0o660

// endpoints returns the addresses of listen.
func (s *setup) endpoints() ([]frontEndpoint, error) {
	var list []frontEndpoint
	for _, text := range s.Server.Listen {
		e := frontEndpoint{endpoint: endpoint{"listen", text, s.Server.ListenMode, s.Server.ListenOwner, s.Server.ListenGroup, s.nameOf}, protocol: protocolHTTP}
		if strings.HasPrefix(text, "uwsgi:") || strings.HasPrefix(text, "uwsgi+") {
			return nil, e.errorf("Sluice takes requests in HTTP, FastCGI and SCGI, and not in uwsgi (which nginx, lighttpd and Apache speak besides)")
		}
		usual := modeHTTP
		for _, p := range protocols {
			if addr, ok := cutProtocol(text, p.scheme); ok {
				e.protocol, e.addr = p.protocol, addr
			}
		}
		if ofWebServers(e.protocol) {
			usual = modeWebServer
		}
		e.mode = cmp.Or(e.mode, usual)
		name, inherited := cutSystemd(e.addr)
		switch e.inherited = inherited; {
		case inherited && (name == "" && e.addr != fromSystemd || strings.Contains(name, ":")):
			return nil, e.errorf("want systemd:NAME, where NAME is the FileDescriptorName= of a socket unit, or systemd for all sockets that it hands over")
		case inherited && slices.ContainsFunc(list, func(other frontEndpoint) bool { return other.addr == e.addr }):
			return nil, e.errorf("is there twice: a socket is for one protocol")
		}
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
	if _, inherited := cutSystemd(v.Status); inherited {
		return fmt.Errorf("status %q: only listen takes sockets of systemd; want host:port, unix:/path or off", v.Status)
	}
	if err := s.checkAddresses(); err != nil {
		return err
	}
	if err := needsNoSocket("status", v.Status, v.StatusMode, v.StatusOwner, v.StatusGroup, s.nameOf); err != nil {
		return err
	}
	if slices.ContainsFunc(list, func(e frontEndpoint) bool { return hasFile(e.addr) }) {
		return nil
	}
	return needsNoSocket("listen", strings.Join(v.Listen, ", "), v.ListenMode, v.ListenOwner, v.ListenGroup, s.nameOf)
}

// opened are the addresses of listen and status that are not systemd's.
func (s *setup) opened() ([]*endpoint, error) {
	list, err := s.endpoints()
	if err != nil {
		return nil, err
	}
	var own []*endpoint
	for i := range list {
		if !list[i].inherited {
			own = append(own, &list[i].endpoint)
		}
	}
	if s.Server.Status != "off" {
		own = append(own, s.statusEndpoint())
	}
	return own, nil
}

// checkAddresses refuses what is no address to listen at, and one that is there twice.
func (s *setup) checkAddresses() error {
	list, err := s.opened()
	if err != nil {
		return err
	}
	for i, e := range list {
		if err := e.check(); err != nil {
			return err
		}
		same := func(other *endpoint) bool { return other.addr == e.addr && !strings.HasSuffix(e.addr, ":0") }
		if slices.ContainsFunc(list[:i], same) {
			return e.errorf("is there twice: give each an address of its own")
		}
	}
	return nil
}

// fromSystemd is the address of all sockets that systemd hands over and no other address names.
const fromSystemd = "systemd"

// cutSystemd returns which sockets of systemd an address stands for: those of a name, or "" for the
// rest.
func cutSystemd(addr string) (name string, ok bool) {
	name, named := strings.CutPrefix(addr, fromSystemd+":")
	if !named {
		return "", addr == fromSystemd
	}
	return name, true
}

// cutProtocol returns what follows the protocol: fcgi://host:port, fcgi+unix:/path,
// fcgi+systemd:NAME, and as others write them, fcgi:host:port and fcgi:unix:/path.
func cutProtocol(text, scheme string) (addr string, ok bool) {
	rest, ok := strings.CutPrefix(text, scheme)
	if !ok {
		return "", false
	}
	if other, ok := strings.CutPrefix(rest, "+"); ok {
		_, inherited := cutSystemd(other)
		return other, inherited || strings.HasPrefix(other, "unix:")
	}
	if addr, ok := strings.CutPrefix(rest, "://"); ok {
		return addr, true
	}
	return strings.CutPrefix(rest, ":")
}

// onlyWebServers reports whether all requests come from web servers, in FastCGI or SCGI.
func (s *setup) onlyWebServers() bool {
	list, err := s.endpoints()
	return err == nil && !slices.ContainsFunc(list, func(e frontEndpoint) bool { return !ofWebServers(e.protocol) })
}

// speaks reports whether there is an address for a protocol.
func (s *setup) speaks(p cgiserver.Protocol) bool {
	list, err := s.endpoints()
	return err == nil && slices.ContainsFunc(list, func(e frontEndpoint) bool { return e.protocol == p })
}

// rank orders addresses by which comes first.
func (e *frontEndpoint) rank() int {
	if e.addr == fromSystemd {
		return 1
	}
	return 0
}

// takeAll takes the sockets of systemd that an address names. It need find none if enough are there already.
func (e *frontEndpoint) takeAll(from *systemd.Sockets, enough bool) ([]systemd.Socket, error) {
	names := from.Names()
	name, _ := cutSystemd(e.addr)
	switch taken, err := from.Take(name); {
	case err != nil:
		return nil, e.errorf("%w", err)
	case len(taken) > 0 || enough:
		return taken, nil
	case len(names) == 0:
		return nil, e.errorf("systemd hands over no socket; start sluice by a socket unit (systemctl start sluice.socket), or write an address, such as \":80\"")
	default:
		return nil, e.errorf("systemd hands over no socket of that name, but %s (FileDescriptorName= in the socket unit)", strings.Join(names, ", "))
	}
}

// seen is the endpoint with what is true of a socket of systemd: its path, and who may connect.
func (e *frontEndpoint) seen(addr net.Addr) frontEndpoint {
	found := *e
	if unix, ok := addr.(*net.UnixAddr); ok && e.inherited {
		found.addr, found.mode = "unix:"+unix.Name, modeHTTP // without a file, everybody may connect
		if info, err := os.Stat(unix.Name); err == nil {
			found.mode = config.FileMode(info.Mode().Perm())
		}
	}
	return found
}

// warn tells the log who may pass for a web server or a proxy that is believed.
func (e *frontEndpoint) warn(addr net.Addr, trusted []string, log *slog.Logger) {
	tcp, isTCP := addr.(*net.TCPAddr)
	switch web := ofWebServers(e.protocol); {
	case !web && e.worldWritable() && slices.Contains(trusted, "unix"):
		log.Warn("every user of this machine can pass for the proxy that "+e.nameOf("trusted_proxies")+" or "+e.nameOf("proxy_protocol")+" unix believes; "+e.whoMay(), "listen", e.addr)
	case web && e.worldWritable():
		log.Warn("every user of this machine can pass for the web server, and for any user and address; "+e.whoMay(), "listen", e.addr)
	case web && isTCP && !tcp.IP.IsLoopback():
		log.Warn("whoever can connect to this address can pass for the web server, and for any user and address; listen on 127.0.0.1 or a unix socket, or let a firewall admit the web server alone", "listen", addr.String())
	case web && !isTCP && e.group == "" && e.owner == "" && !e.inherited:
		log.Info("only the user and the group that Sluice runs as may connect; name the web server's group with "+e.nameOf("listen_group"), "listen", e.addr)
	}
}

// whoMay is advice for a unix socket that everybody may connect to.
func (e *frontEndpoint) whoMay() string {
	if _, abstract := abstractName(e.addr); abstract {
		return "take a socket with a file, such as unix:/run/sluice/http.sock, which has permissions"
	}
	if e.inherited {
		return "SocketMode=0660 and SocketGroup= in the socket unit say who may connect"
	}
	return e.nameOf("listen_mode") + " 0660 and " + e.nameOf("listen_group") + " say who may connect"
}

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/systemd"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tomlfile"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tracing"
)

func serveCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "serve (--backend ADDR ... | -- COMMAND ARGS... | --config FILE)",
		Short: "Serve FastCGI, SCGI, uwsgi or HTTP applications over HTTP, or to a web server in FastCGI",
		Long: `Serve FastCGI, SCGI, uwsgi or HTTP applications over HTTP, or to a web server in
FastCGI or SCGI: --listen fcgi+unix:/run/sluice.sock is for nginx's fastcgi_pass. Only the
web server may be able to connect there: what it says of a client is believed.

--listen https://:443 is HTTP over TLS, with the certificate of --tls-certificate, or one
that --acme-agree-terms has obtained for --acme-name. Requests without TLS are then
redirected.

The flags describe one application. A file describes any number of them, and the sites
in front: --config sluice.toml, or /etc/sluice/sluice.toml if nothing is given and it
exists. "sluice config example" prints one, and --print-config the one that flags mean.

Either the application is already running, at the addresses of --backend, or it is a
command after "--". Sluice starts the command with its listening socket as standard
input, as PHP, libfcgi, Perl's FCGI, flup and Trac expect, or in the way of
--command-socket, and starts it again if it ends. {socket}, {port} or {address} among
its arguments tell it where to make the socket.

--listen systemd:NAME takes a socket that systemd hands over (FileDescriptorName=NAME in
its unit), so that connections wait instead of being refused while Sluice is started anew.

SIGTERM and SIGINT drain: new connections are refused, new requests on existing ones
get 503, and all other requests may finish within --drain-timeout. A second signal
cuts them. SIGHUP loads the file again, without losing a request or a connection, and
reopens the access log; a file with mistakes changes nothing. SIGUSR2 restarts the
commands, one process after the other and without losing a request; SIGUSR1 only
reopens the log. "sluice reload" and "sluice restart" do the same by way of the
--status address, and say when it is done.`,
		Example: `  sluice serve --listen :8080 --backend unix:/run/trac.sock --workers 16
  sluice serve --listen :8080 --backend uwsgi+unix:/run/wiki.sock --workers 8
  sluice serve --listen :8080 --backend http://127.0.0.1:8000 --workers 16
  sluice serve --listen :8080 --workers 100 -- ./trac.fcgi
  sluice serve --listen :8080 --preset php --root /srv/wiki -- php-cgi
  sluice serve --listen :80 --listen https://:443 --tls-certificate wiki.pem --backend unix:/run/wiki.sock
  sluice serve --listen fcgi+unix:/run/sluice.sock --listen-group www-data --preset php -- php-cgi
  sluice serve --config /etc/sluice/sluice.toml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); len(args) > 0 && n != 0 {
				return fmt.Errorf("unexpected argument %q: a command to run goes after \"--\"", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.load(args)
			if err != nil {
				return err
			}
			if o.printConfig {
				text, err := tomlfile.Write(o.given)
				if err == nil {
					_, err = cmd.OutOrStdout().Write(text)
				}
				return err
			}
			return serve(c)
		},
	}
	o.register(cmd.Flags())
	return cmd
}

// serve runs until a signal has drained it, or a server fails.
func serve(c *setup) (err error) {
	surviveBrokenPipes()
	errorLog := openErrorLog(&c.Server)
	defer errorLog.close()
	log := errorLog.log
	notifier := systemd.NewNotifier(func(err error) {
		log.Warn("systemd was not told the state of the service", "error", err.Error(), "advice", "let this process write to the socket of NOTIFY_SOCKET, or start it without that variable")
	})
	sockets, err := systemd.Inherit()
	if err != nil {
		return &runError{err}
	}
	defer sockets.Close()
	access, err := openAccessLog(c.Server.AccessLog, c.Server.AccessLogFormat, log)
	if err != nil {
		return c.ServerError(err)
	}
	defer func() {
		if lost := access.close(); lost > 0 {
			log.Warn("the end of the access log could not be written", "lines", lost, "advice", "see that the disk has room, or that its reader reads")
		}
	}()
	traces, err := tracing.Start(context.Background(), versionText(), log)
	if err != nil {
		return err
	}
	defer traces.Stop()
	s := newServer(access, errorLog, traces)
	s.notifier = notifier
	defer s.close()
	if c.path != "" {
		s.load = func() (*setup, error) { return loadFile(c.path, s.pace.pause) }
	}
	opened, err := c.open(sockets, log)
	if err != nil {
		return c.ServerError(err)
	}
	defer closeAll(opened)
	limits, err := s.limits(c, opened)
	if err != nil {
		return c.ServerError(err)
	}
	var statusSocket net.Listener
	if c.Server.Status != "off" {
		if statusSocket, err = c.statusEndpoint().listen(); err != nil {
			return c.ServerError(err)
		}
		defer statusSocket.Close()
	}
	s.listenSecure(c, opened)
	signals := catchSignals()
	start, started := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = s.begin(start, c)
	started()
	if err != nil {
		return err
	}
	for _, l := range opened[protocolHTTP] {
		if slices.ContainsFunc(c.Sites, func(site *config.HostedSite) bool {
			return unencrypted(site, l.Addr()) && !(s.front.securePort > 0 && site.TLS.Redirect == config.On)
		}) {
			log.Warn("passwords are sent unencrypted: there is no TLS on this address; listen on 127.0.0.1 or a unix socket behind a proxy with TLS, and name the proxy with "+c.nameOf("trusted_proxies"), "listen", l.Addr().String())
		}
	}

	failed := make(chan error, len(opened)+1)
	front, err := newFrontServer(s, c, limits, opened)
	if err != nil {
		return err
	}
	front.begin(failed)
	var state *statusListener
	if statusSocket != nil {
		statusLimit := connlimit.New(connlimit.Config{Max: statusConnections, MaxWaiting: 1, Logger: log})
		state = newStatusListener(s, func() frontSnapshot {
			clients, webServers := front.snapshots()
			return frontSnapshot{clients, webServers, statusLimit.Snapshot(), front.tlsSnapshot(), front.framing.Count(), front.front.draining.Load(), droppedLineCounts{access.dropped(), errorLog.dropped()}}
		}, statusLimit, c.statusHosts())
		go func() { failed <- state.serve(statusSocket) }()
	}
	memory := startMemoryKeeper()
	defer memory.close()
	log.Info("serving", append([]any{"listen", listening(opened), "status", addrText(statusSocket)}, append(c.describe(),
		"max_connections", maxConnections(limits), "version", versionText())...)...)
	s.serving = "Serving at " + listening(opened)
	notifier.Ready(s.serving)
	err = s.serveUntilSignal(signals, failed)
	if err != nil {
		err = &runError{err}
	}
	notifier.Stopping(s.drainTimeout() + endTime)
	front.drain(s, signals)
	if state != nil {
		state.close()
	}
	log.Info("drained")
	return err
}

// limits returns the limits of connections. If there are several protocols, each has its share; HTTP
// with and without TLS is one, called protocolHTTP.
func (s *server) limits(c *setup, opened map[cgiserver.Protocol][]net.Listener) (map[cgiserver.Protocol]*connlimit.Limit, error) {
	files, err := descriptorLimit()
	if err != nil {
		return nil, err
	}
	most, waiting, err := c.connections(files)
	if err != nil {
		return nil, err
	}
	s.most = most
	protocols := make(map[cgiserver.Protocol]bool)
	for protocol := range opened {
		if protocol == protocolHTTPS {
			protocol = protocolHTTP
		}
		protocols[protocol] = true
	}
	limits := make(map[cgiserver.Protocol]*connlimit.Limit)
	for protocol := range protocols {
		exempt := func(addr netip.Addr) bool { return s.front.current.Load().trusts(addr) }
		if ofWebServers(protocol) {
			exempt = func(netip.Addr) bool { return true } // a web server speaks for many
		}
		limits[protocol] = connlimit.New(connlimit.Config{
			Max: max(most/len(protocols), 1), MaxWaiting: max(waiting/len(protocols), 1), Exempt: exempt, Logger: s.log,
		})
	}
	return limits, nil
}

func maxConnections(limits map[cgiserver.Protocol]*connlimit.Limit) (n int) {
	for _, limit := range limits {
		n += limit.Snapshot().Max
	}
	return n
}

// listening is where clients and web servers connect to, for the log.
func listening(opened map[cgiserver.Protocol][]net.Listener) string {
	var list []string
	for protocol, listeners := range opened {
		for _, l := range listeners {
			addr := l.Addr().String()
			if protocol != protocolHTTP { // HTTP is the usual one
				addr = string(protocol) + " " + addr
			}
			list = append(list, addr)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// describe says what is served, for the log.
func (s *setup) describe() []any {
	if s.path != "" {
		return []any{slog.String("file", s.path), slog.Int("applications", len(s.Applications)), slog.Int("sites", len(s.Sites))}
	}
	a := s.Applications[0]
	return []any{slog.String("application", location(&a.Application)), slog.Int("workers", a.Workers), slog.String("preset", string(a.Preset))}
}

// location names an application by where it is.
func location(a *config.Application) string {
	if a.Spawn != nil {
		return a.Spawn.Command[0] // its arguments may be secret
	}
	return strings.Join(a.Backends, " ")
}

func addrText(l net.Listener) string {
	if l == nil {
		return "off"
	}
	return l.Addr().String()
}

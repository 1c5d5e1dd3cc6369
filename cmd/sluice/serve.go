package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/cgiserver"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tracing"
)

func serveCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "serve (--backend ADDR ... | -- COMMAND ARGS...)",
		Short: "Serve a FastCGI, SCGI, uwsgi or HTTP application over HTTP, or to a web server in FastCGI",
		Long: `Serve a FastCGI, SCGI, uwsgi or HTTP application over HTTP, or to a web server in
FastCGI or SCGI: --listen fcgi+unix:/run/sluice.sock is for nginx's fastcgi_pass. Only the
web server may be able to connect there: what it says of a client is believed.

Either the application is already running, at the addresses of --backend, or it is a
command after "--". Sluice starts the command with its listening socket as standard
input, as PHP, libfcgi, Perl's FCGI, flup and Trac expect, or in the way of
--command-socket, and starts it again if it ends. {socket}, {port} or {address} among
its arguments tell it where to make the socket.

SIGTERM and SIGINT drain: new connections are refused, new requests on existing ones
get 503, and all other requests may finish within --drain-timeout. A second signal
cuts them. SIGHUP restarts the command, one process after the other and without losing
a request, and reopens the access log; SIGUSR1 only reopens the log. POST /restart at
the --status address restarts the command as well, and answers when that is done.`,
		Example: `  sluice serve --listen :8080 --backend unix:/run/trac.sock --workers 16
  sluice serve --listen :8080 --backend uwsgi+unix:/run/wiki.sock --workers 8
  sluice serve --listen :8080 --backend http://127.0.0.1:8000 --workers 16
  sluice serve --listen :8080 --workers 100 -- ./trac.fcgi
  sluice serve --listen :8080 --preset php --root /srv/wiki -- php-cgi
  sluice serve --listen fcgi+unix:/run/sluice.sock --listen-group www-data --preset php -- php-cgi`,
		Args: func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); len(args) > 0 && n != 0 {
				return fmt.Errorf("unexpected argument %q: a command to run goes after \"--\"", args[0])
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return serve(&o, args) },
	}
	o.register(cmd.Flags())
	return cmd
}

// serve runs until a signal has drained it, or a server fails.
func serve(o *options, command []string) (err error) {
	if err := o.complete(command); err != nil {
		return err
	}
	surviveBrokenPipes()
	errorLog := openErrorLog(o)
	defer errorLog.close()
	log := errorLog.log
	access, err := openAccessLog(o.accessLog, o.accessFormat, log)
	if err != nil {
		return err
	}
	defer func() {
		if lost := access.close(); lost > 0 {
			log.Warn("the end of the access log could not be written", "lines", lost, "advice", "see that the disk has room, or that its reader reads")
		}
	}()

	cfg := o.bridge()
	traces, err := tracing.Start(context.Background(), versionText(), log)
	if err != nil {
		return err
	}
	defer traces.Stop()
	slow := newSlowLog(time.Duration(o.slowLog), log)
	cfg.Logger, cfg.Observe = log, func(r *http.Request, outcome *bridge.Outcome) {
		access.observe(r, outcome)
		slow.observe(r, outcome)
		traces.Observe(r, outcome)
	}
	auth, err := o.auth.open(o.Mount, log)
	if err != nil {
		return o.flagError(err)
	}
	if auth != nil {
		cfg.Identify = auth.Identify
	}
	if err := cfg.CheckDirectories(); err != nil {
		return o.flagError(err)
	}
	opened, err := o.listen.open(o.TrustedProxies, log)
	if err != nil {
		return err
	}
	defer closeAll(opened)
	limits, err := o.limits(opened, log)
	if err != nil {
		return err
	}
	var statusSocket net.Listener
	if o.status.addr != "off" {
		if statusSocket, err = o.status.listen(); err != nil {
			return err
		}
		defer statusSocket.Close()
	}
	signals := catchSignals()
	start, started := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	served, err := newFront(start, cfg, access, o)
	started()
	if err != nil {
		return o.flagError(err)
	}
	served.application = traces.Handler(served.bridge)
	b := served.bridge
	defer b.Close()
	for _, renamed := range o.written.Renamed() {
		log.Warn("a setting has a new name: " + renamed)
	}
	for _, unused := range b.Unused() {
		log.Warn("a setting has no effect: " + o.flagError(unused).Error())
	}
	for _, l := range opened[protocolHTTP] {
		if o.auth.unencrypted(l.Addr(), o.TrustedProxies) {
			log.Warn("passwords are sent unencrypted: there is no TLS on this address; listen on 127.0.0.1 or a unix socket behind a proxy with TLS, and name the proxy with --trusted-proxy", "listen", l.Addr().String())
		}
	}

	failed := make(chan error, len(opened)+1)
	front, err := newFrontServer(served, o, limits, opened, access.malformed, log)
	if err != nil {
		return err
	}
	front.begin(failed)
	var state *statusListener
	if statusSocket != nil {
		statusLimit := connlimit.New(connlimit.Config{Max: statusConnections, MaxWaiting: 1, Logger: log})
		state = newStatusListener(b, application(cfg), func() frontSnapshot {
			clients, webServers := front.snapshots()
			return frontSnapshot{clients, webServers, statusLimit.Snapshot(), front.framing.Count(), front.front.draining.Load(), droppedLineCounts{access.dropped(), errorLog.dropped()}}
		}, statusLimit, o.statusHosts(), log)
		go func() { failed <- state.serve(statusSocket) }()
	}
	memory := startMemoryKeeper()
	defer memory.close()
	log.Info("serving", "listen", listening(opened), "status", addrText(statusSocket), "application", application(cfg),
		"workers", o.Workers, "preset", o.Preset, "max_connections", maxConnections(limits), "version", versionText())
	err = serveUntilSignal(signals, failed, b, access, log)
	if err != nil {
		err = &runError{err}
	}
	front.drain(signals, time.Duration(o.drainTimeout), access, log)
	if state != nil {
		state.close()
	}
	log.Info("drained")
	return err
}

// limits returns the limits of connections. If there are several protocols, each has its share.
func (o *options) limits(opened map[cgiserver.Protocol][]net.Listener, log *slog.Logger) (map[cgiserver.Protocol]*connlimit.Limit, error) {
	files, err := descriptorLimit()
	if err != nil {
		return nil, err
	}
	most, waiting, err := o.connections(files)
	if err != nil {
		return nil, err
	}
	limits := make(map[cgiserver.Protocol]*connlimit.Limit)
	for protocol := range opened {
		exempt := proxies(o.TrustedProxies)
		if protocol != protocolHTTP {
			exempt = func(netip.Addr) bool { return true } // a web server speaks for many
		}
		limits[protocol] = connlimit.New(connlimit.Config{
			Max: max(most/len(opened), 1), MaxWaiting: max(waiting/len(opened), 1), Exempt: exempt, Logger: log,
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
			if protocol != protocolHTTP {
				addr = string(protocol) + " " + addr
			}
			list = append(list, addr)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// application names the application in the log.
func application(cfg bridge.Config) string {
	if cfg.Spawn != nil {
		return cfg.Spawn.Command[0] // its arguments may be secret
	}
	return strings.Join(cfg.Backends, " ")
}

func addrText(l net.Listener) string {
	if l == nil {
		return "off"
	}
	return l.Addr().String()
}

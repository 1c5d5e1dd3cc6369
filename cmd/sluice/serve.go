package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
)

func serveCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "serve (--backend ADDR ... | -- COMMAND ARGS...)",
		Short: "Serve a FastCGI, SCGI, uwsgi or HTTP application over HTTP",
		Long: `Serve a FastCGI, SCGI, uwsgi or HTTP application over HTTP.

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
  sluice serve --listen :8080 --preset php --root /srv/wiki -- php-cgi`,
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
	access, err := openAccessLog(o.accessLog, log)
	if err != nil {
		return err
	}
	defer func() {
		if lost := access.close(); lost > 0 {
			log.Warn("the end of the access log could not be written", "lines", lost)
		}
	}()

	cfg := o.bridge()
	cfg.Logger, cfg.Observe = log, access.observe
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
	limit, err := o.limit(log)
	if err != nil {
		return err
	}
	clients, err := o.listen.listen()
	if err != nil {
		return err
	}
	defer clients.Close()
	if o.listen.worldWritable() && slices.Contains(o.TrustedProxies, "unix") {
		log.Warn("every user of this machine can pass for the proxy that --trusted-proxy unix believes; --listen-mode 0660 and --listen-group say who may connect", "listen", o.listen.addr)
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
	b := served.bridge
	defer b.Close()
	for _, renamed := range o.written.Renamed() {
		log.Warn("a setting has a new name: " + renamed)
	}
	for _, unused := range b.Unused() {
		log.Warn("a setting has no effect: " + o.flagError(unused).Error())
	}
	if o.auth.unencrypted(clients.Addr(), o.TrustedProxies) {
		log.Warn("passwords are sent unencrypted: there is no TLS on this address; listen on 127.0.0.1 or a unix socket behind a proxy with TLS, and name the proxy with --trusted-proxy", "listen", clients.Addr().String())
	}

	failed := make(chan error, 2)
	front := newFrontServer(served, o, limit, access.malformed, log)
	go func() { failed <- front.serve(clients) }()
	var state *statusListener
	if statusSocket != nil {
		statusLimit := connlimit.New(connlimit.Config{Max: statusConnections, MaxWaiting: 1, Logger: log})
		state = newStatusListener(b, func() frontSnapshot {
			return frontSnapshot{limit.Snapshot(), statusLimit.Snapshot(), front.framing.Count(), front.front.draining.Load(), droppedLineCounts{access.dropped(), errorLog.dropped()}}
		}, statusLimit, o.statusHosts(), log)
		go func() { failed <- state.serve(statusSocket) }()
	}
	log.Info("serving", "listen", clients.Addr().String(), "status", addrText(statusSocket), "application", application(cfg),
		"workers", o.Workers, "preset", o.Preset, "max_connections", limit.Snapshot().Max, "version", versionText())
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

// limit returns the limit of client connections.
func (o *options) limit(log *slog.Logger) (*connlimit.Limit, error) {
	files, err := descriptorLimit()
	if err != nil {
		return nil, err
	}
	most, waiting, err := o.connections(files)
	if err != nil {
		return nil, err
	}
	return connlimit.New(connlimit.Config{
		Max: most, MaxWaiting: waiting, Exempt: proxies(o.TrustedProxies), Logger: log,
	}), nil
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

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/handover"
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
reopens the log. SIGRTMIN+1 has a new process of the installed program take over, with
the same sockets. "sluice reload", "sluice restart" and "sluice upgrade" do the same by
way of the --status address, and say when it is done.`,
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
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			process := thisProcess()
			former, err := handover.Inherit()
			if err != nil {
				return &runError{err}
			}
			defer func() { former.Fail(err) }()
			c, err := o.load(args)
			if err != nil {
				return err
			}
			if o.printConfig {
				text, err := tomlfile.Write(o.given)
				if err != nil {
					return err
				}
				return write(cmd.OutOrStdout(), text, nil)
			}
			return serve(c, process, former)
		},
	}
	o.register(cmd.Flags())
	return cmd
}

// serve runs until a signal has drained it, another process has taken over, or a server fails. If there
// is a former process, it takes over from that.
func serve(c *setup, process self, former *handover.Predecessor) (err error) {
	surviveBrokenPipes()
	errorLog := openErrorLog(&c.Server)
	defer errorLog.close()
	log := errorLog.log
	notifier := systemd.NewNotifier(func(err error) {
		log.Warn("systemd was not told the state of the service", "error", err.Error(), "advice", "let this process write to the socket of NOTIFY_SOCKET, or start it without that variable")
	})
	inherited, err := systemd.Inherit()
	if err != nil {
		return &runError{err}
	}
	defer inherited.Close()
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
	defer s.finish()
	defer s.close()
	var end context.CancelFunc
	s.life, end = context.WithCancel(context.Background())
	s.self, s.predecessor = process, newPredecessor(former)
	defer s.predecessor.end()
	defer end()
	if c.path != "" {
		s.load = func() (*setup, error) { return loadFile(c.path, s.pace.pause) }
	}
	s.inLoops = c.inLoops() && traces == nil // which are around the bridge, and event loops would not call them
	s.sockets = &sockets{log: log, inLoops: s.inLoops, systemd: inherited}
	defer s.sockets.close()
	if former != nil {
		if err := s.sockets.receive(former.Sockets); err != nil {
			return &runError{err}
		}
	}
	failed := make(chan error, mostServers)
	s.clients = newFrontServer(s, c, failed)
	defer s.clients.close()
	statusLimit := connlimit.New(connlimit.Config{Max: statusConnections, MaxWaiting: 1, Logger: log})
	s.newStatus = func(c *setup) *statusListener {
		made := newStatusListener(s, func() frontSnapshot {
			clients, webServers := s.clients.snapshots()
			return frontSnapshot{clients, webServers, statusLimit.Snapshot(), s.clients.tlsSnapshot(), s.clients.framing.Count(), s.front.draining.Load(), droppedLineCounts{access.dropped(), errorLog.dropped()}}
		}, statusLimit, c.statusHosts())
		go func() { failed <- made.serve() }()
		return made
	}
	listens, err := s.prepareFront(c)
	if err != nil {
		return c.ServerError(err)
	}
	defer listens.end()
	signals := catchSignals()
	alone, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	former.Watch(func() { cancel(handover.ErrEnded) })
	start, started := signal.NotifyContext(alone, os.Interrupt, syscall.SIGTERM)
	if err = s.begin(start, c); err == nil {
		err = s.takeOver(start)
	}
	started()
	if err != nil {
		return err
	}
	s.listen(listens)
	memory := startMemoryKeeper()
	defer memory.close()
	terminated, err := s.serveUntilSignal(end, signals, failed)
	if err != nil {
		err = &runError{err}
	}
	s.settle()
	if terminated && s.successor != nil { // the signal was for who served when it was sent
		s.successor.Terminate()
	}
	stopYielding := s.startYielding()
	if s.successor == nil {
		notifier.Stopping(s.drainTimeout() + endTime)
	}
	s.clients.drain(signals)
	if s.status != nil {
		s.status.close()
	}
	stopYielding()
	log.Info("drained")
	return err
}

// listen begins to serve, and tells whoever waits for that. A reload comes after it.
func (s *server) listen(first *frontChange) {
	s.changing.Lock()
	defer s.changing.Unlock()
	first.commit()
	s.log.Info("serving", append([]any{"listen", first.listen(), "status", statusText(first.sockets)}, append(first.setup.describe(),
		"max_connections", s.most, "version", versionText())...)...)
	if s.predecessor == nil {
		s.notifier.Ready(s.serving)
	}
	s.predecessor.begin(s)
}

// mostServers is how many servers may fail: of each protocol, and of the status.
const mostServers = 4

// listening is where clients and web servers connect to, for the log.
func listening(at *socketChange) string {
	var list []string
	for _, p := range at.places {
		addr := p.socket.Addr().String()
		switch p.as.protocol {
		case protocolStatus:
			continue
		case protocolHTTP: // is the usual one
		default:
			addr = string(p.as.protocol) + " " + addr
		}
		list = append(list, addr)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// statusText is where the status is, for the log.
func statusText(at *socketChange) string {
	for _, l := range at.listeners(protocolStatus) {
		return l.Addr().String()
	}
	return "off"
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

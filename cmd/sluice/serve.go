package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/bridge"
)

func serveCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "serve (--backend ADDR ... | -- COMMAND ARGS...)",
		Short: "Serve a FastCGI application over HTTP",
		Long: `Serve a FastCGI application over HTTP.

The application either runs already, and --backend names its addresses, or is a
command after "--", which is started with its listening socket as standard input
(as PHP, libfcgi, Perl's FCGI, flup and Trac expect) and started again if it ends.

SIGTERM and SIGINT drain: no new connections, and the requests there are may finish
within --drain-timeout; a second one cuts them short. SIGHUP restarts the command, one
process after the other and without losing a request, and reopens the access log;
SIGUSR1 only does the latter. POST /restart at the --status address restarts it, too,
and answers when that is done.`,
		Example: `  sluice serve --listen :8080 --backend unix:/run/trac.sock --workers 16
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

// serve runs until a signal has drained it, or something fails.
func serve(o *options, command []string) (err error) {
	if err := o.check(command); err != nil {
		return err
	}
	log := o.logger(os.Stderr)
	access, err := openAccessLog(o.accessLog)
	if err != nil {
		return err
	}
	defer access.close()

	cfg := o.bridge(command)
	cfg.Logger, cfg.Observe = log, access.observe
	auth, err := o.auth.open(o.mount, log)
	if err != nil {
		return flagError(err)
	}
	if auth != nil {
		cfg.Identify = auth.Identify
	}
	if err := cfg.CheckDirectories(); err != nil {
		return flagError(err)
	}
	front, err := listen("listen", o.listen)
	if err != nil {
		return err
	}
	defer front.Close()
	var side net.Listener
	if o.status != "off" {
		if side, err = listen("status", o.status); err != nil {
			return err
		}
		defer side.Close()
	}
	signals := catchSignals()
	b, err := bridge.New(cfg)
	if err != nil {
		return flagError(err)
	}
	defer b.Close()
	for _, unused := range b.Unused() {
		log.Warn("a setting has no effect: " + flagError(unused).Error())
	}
	if o.auth.inTheClear(front.Addr(), o.trusted) {
		log.Warn("passwords are sent unencrypted: there is no TLS on this address; listen on 127.0.0.1 or a unix socket behind a proxy with TLS, and name the proxy with --trusted-proxy", "listen", front.Addr().String())
	}

	server := o.server(newFront(b, access, o), log)
	servers := []*http.Server{server}
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(front) }()
	if side != nil {
		s := statusServer(b, o.statusHosts(), log)
		servers = append(servers, s)
		go func() { failed <- s.Serve(side) }()
	}
	log.Info("serving", "listen", front.Addr().String(), "status", addrText(side), "application", application(cfg),
		"workers", o.workers, "preset", o.preset, "version", versionText())
	err = untilSignal(signals, failed, b, access, log)
	if err != nil {
		err = &runError{err}
	}
	drain(signals, servers, time.Duration(o.drainTimeout), access, log)
	return err
}

// listen opens an HTTP listening address: host:port, or unix:/path.
func listen(flag, addr string) (net.Listener, error) {
	if !strings.HasPrefix(addr, "unix:") && !strings.HasPrefix(addr, "unix/") {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("--%s %s: %s", flag, addr, listenReason(err))
		}
		return l, nil
	}
	_, path, err := bridge.ParseAddress(addr)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("--%s %s: another program listens there", flag, addr)
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		if err := removeStale(path); err != nil {
			return nil, fmt.Errorf("--%s %s: %w", flag, addr, err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("--%s %s: %s", flag, addr, listenReason(err))
	}
	return l, nil
}

// removeStale removes a socket that a program which was killed has left behind.
// Connecting to a file that is no socket is refused, too, and such a file stays.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return errors.New("there is a file that is not a socket")
	}
	return os.Remove(path)
}

func listenReason(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "the address is in use (is another program listening there?)"
	case errors.Is(err, syscall.EACCES):
		return "permission denied (ports below 1024 need privileges)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine does not have that address"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// application is what the log calls it.
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

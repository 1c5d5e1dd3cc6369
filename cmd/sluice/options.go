package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/cgiserver"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// options holds the flags of serve: the settings, and those of the server itself.
type options struct {
	config.Config
	written config.Written
	set     *pflag.FlagSet

	listen                          frontAddresses
	status                          endpoint
	webServerStderr                 bool
	webServerRefusal                string
	statusNames                     []string
	accessLog, accessFormat         string
	slowLog                         durationFlag
	frontKind                       string
	logFormat, logLevel             string
	auth                            authOptions
	maxHeader                       sizeFlag
	maxConnections                  int
	header, keepAlive, drainTimeout durationFlag
}

func (o *options) register(f *pflag.FlagSet) {
	f.SortFlags = false
	o.set = f
	o.status.flag = "status"
	o.listen.register(f)

	registerSettings(f, &o.Config, &o.written)

	o.auth.register(f)
	f.IntVar(&o.maxConnections, "max-connections", 0, "how many connections clients may have; idle ones are closed for new ones (default as many as the limit of open files allows, 16384 at most)")
	o.maxHeader = 64 << 10
	f.Var(&o.maxHeader, "max-header", "largest request header, `SIZE`")
	o.header, o.keepAlive, o.drainTimeout = durationFlag(10*time.Second), durationFlag(75*time.Second), durationFlag(30*time.Second)
	f.Var(positiveDuration{&o.header}, "header-timeout", "how long a client may take to send a request's header")
	f.Var(positiveDuration{&o.keepAlive}, "keepalive-timeout", "how long a client's unused connection is kept")
	f.Var(&o.drainTimeout, "drain-timeout", "how long requests may take to finish after SIGTERM; then they get 503, or are cut; 0: no time")

	f.StringVar(&o.frontKind, "front", "", "how HTTP is served: `loop|net`; in event loops, in which a client that waits costs next to nothing, or by Go's net/http with a goroutine for each client (default loop on Linux)")
	f.BoolVar(&o.webServerStderr, "web-server-stderr", false, "also send the application's standard error to a web server that speaks FastCGI, for its error log")
	f.StringVar(&o.webServerRefusal, "web-server-refusal", refusal503, "answer to a web server that speaks FastCGI when the gate refuses a request, `503|overloaded`; overloaded is END_REQUEST with FCGI_OVERLOADED, which no usual web server understands")

	f.StringVar(&o.status.addr, "status", defaultStatus, "`ADDR` for /healthz, /status.json, /metrics and POST /restart, or off")
	f.StringSliceVar(&o.statusNames, "status-host", nil, "further host `NAME` of requests to --status, besides IP addresses and localhost; *: any; may be given several times")
	o.status.registerSocket(f, 0o660, "users with write permission may connect")
	f.StringVar(&o.accessLog, "access-log", "-", "write a line per request to `FILE`, - (standard output) or off")
	f.StringVar(&o.accessFormat, "access-log-format", formatJSON, "format of the access log: json, common or combined; only json has what the gate did")
	f.Var(&o.slowLog, "slow-log", "log requests that take at least this `TIME`, and what they waited for; long-polls of --long-poll and event streams are left out; 0: off")
	f.StringVar(&o.logFormat, "log-format", "text", "format of the log on standard error: text or json")
	f.StringVar(&o.logLevel, "log-level", "info", "least level of the log: debug (also why each request was refused), info, warn or error")
}

// complete makes the checks that the flag parser and bridge.New cannot make, and fills in the command
// and the defaults. command is empty if the application is already running.
func (o *options) complete(command []string) error {
	switch {
	case len(o.Backends) == 0 && len(command) == 0:
		return errors.New("nothing to serve: name the application with --backend ADDR, or give a command to run after \"--\"")
	case len(o.Backends) > 0 && len(command) > 0:
		return errors.New("--backend and a command exclude each other: does the application run already, or should it be started?")
	case o.logFormat != "text" && o.logFormat != "json":
		return fmt.Errorf("--log-format %q: want text or json", o.logFormat)
	case !slices.Contains(slices.Collect(maps.Keys(logLevels)), o.logLevel):
		return fmt.Errorf("--log-level %q: want debug, info, warn or error", o.logLevel)
	case o.maxConnections < 0:
		return fmt.Errorf("--max-connections %d: must not be negative; 0 is the default", o.maxConnections)
	case o.webServerRefusal != refusal503 && o.webServerRefusal != refusalOverloaded:
		return fmt.Errorf("--web-server-refusal %q: want %s or %s", o.webServerRefusal, refusal503, refusalOverloaded)
	case o.accessFormat != formatJSON && o.accessFormat != formatCommon && o.accessFormat != formatCombined:
		return fmt.Errorf("--access-log-format %q: want json, common or combined", o.accessFormat)
	case o.checkFront() != nil:
		return o.checkFront()
	case o.accessLog == "":
		return errors.New("--access-log: want a file, - or off")
	}
	_, listenErr := o.listen.endpoints()
	for _, err := range []error{listenErr, o.status.check(), o.auth.check(), o.checkUserHeader()} {
		if err != nil {
			return err
		}
	}
	if err := o.setCommand(command); err != nil {
		return err
	}
	for _, err := range []error{o.Application.Complete(), o.Site.Complete()} {
		if err != nil {
			return o.flagError(err)
		}
	}
	if o.Preset == cgi.PresetPHP && (o.Root != "" || !o.listen.onlyWebServers()) {
		o.Index = o.UsualIndex()
	}
	return nil
}

func (o *options) checkUserHeader() error {
	if o.UserHeader != "" && len(o.TrustedProxies) == 0 {
		return errors.New("--user-header: means nothing without --trusted-proxy: it is believed from no other peer")
	}
	return nil
}

// setCommand sets the command. Without one, it refuses flags that configure it.
func (o *options) setCommand(command []string) (err error) {
	if len(command) > 0 {
		if o.Spawn == nil {
			o.Spawn = new(config.Spawn)
		}
		o.Spawn.Command = command
		return nil
	}
	o.set.Visit(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, "command-") && err == nil {
			err = fmt.Errorf("--%s: there is no command to run after \"--\"", f.Name)
		}
	})
	return err
}

// The values of --web-server-refusal.
const refusal503, refusalOverloaded = "503", "overloaded"

// gateRoom is how many requests may be in the gate: at work, and waiting in its queues.
func (o *options) gateRoom() int {
	instances := max(len(o.Backends), 1)
	if o.Spawn != nil {
		instances = o.Spawn.MaxInstances
	}
	return o.Workers*instances + o.Queue.Size + 2*o.Queue.LongSize
}

// isFastCGI reports whether the application speaks FastCGI.
func (o *options) isFastCGI() bool { return o.Protocol == config.FastCGI }

// bridge returns the configuration of the bridge.
func (o *options) bridge() bridge.Config {
	cfg := o.bridgeSettings()
	cfg.FromWebServer = o.listen.onlyWebServers()
	if o.webServerRefusal == refusalOverloaded {
		cfg.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, status int, _ error) bool {
			return status == http.StatusServiceUnavailable && cgiserver.Overload(w)
		}
	}
	return cfg
}

func (o *options) bridgeSettings() bridge.Config {
	return bridge.Config{ApplicationConfig: o.Application, SiteConfig: o.Site, ApplicationHooks: bridge.ApplicationHooks{Reexec: true}}
}

// logLevels are the values of --log-level.
var logLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

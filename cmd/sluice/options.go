package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge"
)

// options are serve's flags.
type options struct {
	listen, status       endpoint
	accessLog            string
	logFormat, logLevel  string
	backends             []string
	workers              int
	preset, mount        string
	env                  envValue
	trusted, statusNames []string
	underscored          []string
	sendfile             []string

	maxBody, maxParams, maxResponseHeader, maxHeader size
	requestBuffering, keepConn, multiplex            string

	files   fileOptions
	auth    authOptions
	gate    gateOptions
	command commandOptions

	dial, send, firstByte, betweenBytes, request, idle, abandoned, client duration
	header, keepAlive, drainTimeout                                       duration

	maxConnections int

	spoolDir                            string
	spoolBuffer, spoolMemory, spoolDisk size
}

func (o *options) register(f *pflag.FlagSet) {
	f.SortFlags = false
	o.listen.flag, o.status.flag = "listen", "status"
	f.StringVar(&o.listen.addr, "listen", "127.0.0.1:8080", "serve HTTP at `ADDR`: host:port, :port or unix:/path")
	o.listen.registerSocket(f, 0o666, "whoever may write may connect")
	f.StringArrayVar(&o.backends, "backend", nil, "the application's `ADDR`: unix:/path or host:port; may be given several times")
	f.IntVar(&o.workers, "workers", 4, "how many requests one backend can hold at once: its threads or processes")
	f.StringVar(&o.preset, "preset", "app", "how URLs map to the application: app (one application), php (scripts under --root) or cgi (a program per file under --root)")
	f.StringVar(&o.mount, "mount", "", "URL `PREFIX` the application lives at")
	o.files.register(f)
	f.Var(&o.env, "env", "a further CGI variable, `K=V`, sent with each request; wins over everything else; for the environment of a command that is started there is --command-env; may be given several times")
	f.StringSliceVar(&o.trusted, "trusted-proxy", nil, "`IP`, network (CIDR) or \"unix\" whose X-Forwarded-* (-For, -Proto, -Host, -Port) and Forwarded are believed; may be given several times")
	f.StringSliceVar(&o.underscored, "underscore-headers", nil, "`NAMES` of request header fields with underscores that are passed on, such as api_key, in place of those with hyphens (default none)")

	f.StringArrayVar(&o.sendfile, "sendfile", nil, "`DIR` from which files are sent that the application names in X-Sendfile, or URI=DIR for X-Accel-Redirect; may be given several times")

	o.auth.register(f)
	f.IntVar(&o.maxConnections, "max-connections", 0, "how many connections clients may have; idle ones make room for others (default what the limit of open files has room for, 16384 at most)")
	o.maxBody = 1 << 30
	f.Var(&o.maxBody, "max-body", "largest request body, `SIZE` such as 20MiB")
	o.maxHeader = 64 << 10
	f.Var(&o.maxHeader, "max-header", "largest request header, `SIZE`")
	o.maxParams = 64 << 10
	f.Var(&o.maxParams, "max-params", "largest set of CGI variables, `SIZE`; FastCGI servers are known to take 64KiB")
	o.maxResponseHeader = 64 << 10
	f.Var(&o.maxResponseHeader, "max-response-header", "largest response header of the application, `SIZE`")
	f.StringVar(&o.requestBuffering, "request-buffering", "on", "on: read request bodies before a worker is taken; off: send them on as they arrive")
	f.StringVar(&o.keepConn, "keep-alive", "auto", "on: keep connections to the application; off: a new one per request; auto: kept, unless that is found to stop the application, as threaded libfcgi programs (preset app)")

	f.StringVar(&o.multiplex, "multiplex", "auto", "on: requests share connections to the application; off: they never do; auto: the application is asked whether it can (preset app)")

	o.gate.register(f)
	durations := []struct {
		to    *duration
		name  string
		value time.Duration
		usage string
	}{
		{&o.dial, "dial-timeout", 2 * time.Second, "how long connecting to the application may take"},
		{&o.send, "send-timeout", time.Minute, "how long the application may take nothing of a request"},
		{&o.firstByte, "first-byte-timeout", time.Minute, "how long the application may say nothing after a request"},
		{&o.betweenBytes, "between-bytes-timeout", time.Minute, "how long it may pause within its answer"},
		{&o.idle, "idle-timeout", 5 * time.Second, "how long an unused connection to the application is kept"},
		{&o.abandoned, "abandoned-timeout", 30 * time.Second, "how long a worker counts as busy for a client that has left or was sent a 504"},
		{&o.client, "client-timeout", time.Minute, "how long a client may send nothing of its body, or take nothing of the answer"},
		{&o.header, "header-timeout", 10 * time.Second, "how long a client may take to send a request's header"},
		{&o.keepAlive, "keepalive-timeout", 75 * time.Second, "how long a client's unused connection is kept"},
	}
	for _, d := range durations {
		*d.to = duration(d.value)
		f.Var(someDuration{d.to}, d.name, d.usage)
	}
	f.Var(&o.request, "request-timeout", "how long the application may take in all; 0: no limit")
	o.drainTimeout = duration(30 * time.Second)
	f.Var(&o.drainTimeout, "drain-timeout", "how long requests may finish after SIGTERM; then they get 503, or are cut; 0: not at all")

	f.StringVar(&o.spoolDir, "spool-dir", "", "`DIR` for temporary files (default the system's)")
	o.spoolBuffer, o.spoolMemory, o.spoolDisk = 256<<10, 64<<20, 4<<30
	f.Var(&o.spoolBuffer, "spool-buffer", "how much of one body is held in memory, `SIZE`")
	f.Var(&o.spoolMemory, "spool-memory", "how much all bodies may take in memory, `SIZE`")
	f.Var(&o.spoolDisk, "spool-disk", "how much they may take in temporary files, `SIZE`")

	o.command.register(f)

	f.StringVar(&o.status.addr, "status", "127.0.0.1:9180", "serve /healthz, /status.json and /metrics at `ADDR`, and take POST /restart, or off")
	f.StringSliceVar(&o.statusNames, "status-host", nil, "further host `NAME` of --status, besides IP addresses and localhost; * is any; may be given several times")
	o.status.registerSocket(f, 0o660, "whoever may write may connect")
	f.StringVar(&o.accessLog, "access-log", "-", "write a JSON line per request to `FILE`, - (standard output) or off")
	f.StringVar(&o.logFormat, "log-format", "text", "format of the log on standard error: text or json")
	f.StringVar(&o.logLevel, "log-level", "info", "what the log has at least: debug (why a request was refused, for each), info, warn or error")
}

// check finds what the flag parser and bridge.New cannot.
func (o *options) check(command []string) error {
	switch {
	case len(o.backends) == 0 && len(command) == 0:
		return errors.New("nothing to serve: name the application with --backend ADDR, or give a command to run after \"--\"")
	case len(o.backends) > 0 && len(command) > 0:
		return errors.New("--backend and a command exclude each other: does the application run already, or should it be started?")
	case o.workers < 1:
		return fmt.Errorf("--workers %d: want at least 1", o.workers)
	case o.logFormat != "text" && o.logFormat != "json":
		return fmt.Errorf("--log-format %q: want text or json", o.logFormat)
	case !slices.Contains(slices.Collect(maps.Keys(logLevels)), o.logLevel):
		return fmt.Errorf("--log-level %q: want debug, info, warn or error", o.logLevel)
	case o.maxConnections < 0:
		return fmt.Errorf("--max-connections %d: must not be negative; 0 is the default", o.maxConnections)
	case o.accessLog == "":
		return errors.New("--access-log: want a file, - or off")
	}
	for _, err := range []error{o.listen.check(), o.status.check(), o.files.check(), o.auth.check(o.trusted), o.command.check(command)} {
		if err != nil {
			return err
		}
	}
	return o.gate.check()
}

// bridge is what the flags come to. command is empty if the application runs already.
func (o *options) bridge(command []string) bridge.Config {
	c := bridge.Config{
		Backends: o.backends, Spawn: o.command.spawn(command), Workers: o.workers,
		Preset: o.preset, Mount: o.mount,
		Env: o.env, TrustedProxies: o.trusted, UserHeader: o.auth.userHeader, UnderscoreHeaders: o.underscored, Sendfile: o.sendfile,
		MaxBody: int64(o.maxBody), MaxParams: int(o.maxParams), MaxResponseHeader: int(o.maxResponseHeader),
		RequestBuffering: bridge.Switch(o.requestBuffering),
		KeepAlive:        bridge.Switch(o.keepConn),
		Multiplex:        bridge.Switch(o.multiplex),
		Timeouts: bridge.TimeoutsConfig{
			Dial: bridge.Duration(o.dial), Send: bridge.Duration(o.send),
			FirstByte: bridge.Duration(o.firstByte), BetweenBytes: bridge.Duration(o.betweenBytes),
			Request: bridge.Duration(o.request), Idle: bridge.Duration(o.idle),
			Abandoned: bridge.Duration(o.abandoned), Client: bridge.Duration(o.client),
		},
		Spool: bridge.SpoolConfig{Dir: o.spoolDir, Buffer: int(o.spoolBuffer), Memory: int64(o.spoolMemory), Disk: int64(o.spoolDisk)},
	}
	o.files.into(&c)
	o.gate.into(&c)
	return c
}

// logLevels are the values of --log-level.
var logLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// size is a flag in bytes.
type size int64

func (s *size) String() string { return strings.ReplaceAll(humanize.IBytes(uint64(*s)), " ", "") }
func (s *size) Type() string   { return "SIZE" }

func (s *size) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > 1<<62 {
		return errors.New("not a size (write 500KiB, 20MiB, 1GiB)")
	}
	if n == 0 {
		return errors.New("must be more than 0")
	}
	*s = size(n)
	return nil
}

// duration is a flag that must not be negative; 0 has a meaning of its own.
type duration time.Duration

// someDuration is one that must be more than 0 as well.
type someDuration struct{ *duration }

func (d someDuration) Set(text string) error {
	if err := d.duration.Set(text); err != nil {
		return err
	}
	if *d.duration == 0 {
		return errors.New("must be more than 0")
	}
	return nil
}

func (d *duration) String() string { return time.Duration(*d).String() }
func (d *duration) Type() string   { return "TIME" }

func (d *duration) Set(text string) error {
	v, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("not a duration (write 500ms, 3s, 2m)")
	}
	if v < 0 {
		return errors.New("must not be negative")
	}
	*d = duration(v)
	return nil
}

// envValue collects K=V flags.
type envValue map[string]string

func (e *envValue) String() string { return "" }
func (e *envValue) Type() string   { return "K=V" }

func (e *envValue) Set(text string) error {
	k, v, ok := strings.Cut(text, "=")
	if !ok || k == "" {
		return errors.New("want K=V")
	}
	if *e == nil {
		*e = make(envValue)
	}
	if _, twice := (*e)[k]; twice {
		return fmt.Errorf("%s is given twice", k)
	}
	(*e)[k] = v
	return nil
}

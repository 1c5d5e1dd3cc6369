package bridge

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
	"github.com/sluice-proxy/sluice/bridge/upstream"
	"github.com/sluice-proxy/sluice/bridge/upstream/fastcgi"
)

// Config is everything a Bridge can be told. Only Backends or Spawn must be set; Workers
// should be. Zero values mean the default each field states.
type Config struct {
	// Backends are the addresses of the application's instances, if it runs already:
	// unix:/path, unix//path or host:port.
	Backends []string `json:"backends,omitempty"`
	// Spawn is what to start as the application, if it does not.
	Spawn *SpawnConfig `json:"spawn,omitempty"`
	// Workers is how many requests one instance can hold at once: its threads or
	// processes. Default 4.
	Workers int `json:"workers,omitempty"`

	// Preset is how URLs map to the application: "app" (default), one application
	// mounted at a prefix; "php", scripts under a root; "cgi", a program per file.
	Preset string `json:"preset,omitempty"`
	// Mount is the URL prefix the application lives at. Default: the root.
	Mount string `json:"mount,omitempty"`
	// Root is the directory of the scripts; presets php and cgi need it. A symbolic link may
	// be switched to another release: it is followed anew. If the directory is not there,
	// requests are answered with 404 until it is.
	Root string `json:"root,omitempty"`
	// ResolveRootSymlink is On (default): SCRIPT_FILENAME and DOCUMENT_ROOT begin with the
	// directory that Root leads to, without symbolic links, so that a release that Root is
	// switched to is used at once and as a whole, whatever PHP remembers of the link. Off:
	// they begin with Root as it is written.
	ResolveRootSymlink Switch `json:"resolve_root_symlink,omitempty"`
	// AppRoot is what the application calls Root, if it sees the same files at another path,
	// in a container or a chroot: SCRIPT_FILENAME and DOCUMENT_ROOT begin with it. Default:
	// it sees them where they are here.
	AppRoot string `json:"app_root,omitempty"`
	// CheckFiles is On (default): scripts are looked for below Root. Off: the files cannot be
	// seen from here, and Root is the application's path. Which part of a path is the script
	// is told by its name (.php, .cgi, .pl, ...), and what is hidden, begins with a dot or
	// climbs is out of reach as always, but not what a symbolic link leads to.
	CheckFiles Switch `json:"check_files,omitempty"`
	// Virtual lists the paths of scripts that no file stands for, because the application
	// answers them itself: ping.path and pm.status_path of PHP-FPM, such as "/ping". With a
	// mount, they are below it.
	Virtual []string `json:"virtual,omitempty"`
	// Follow lists directories outside Root that symbolic links may lead into.
	Follow []string `json:"follow,omitempty"`
	// Static says which files below Root may be sent as they are: "off"; "usual", styles,
	// scripts for browsers, images, fonts and the like, robots.txt, and what is below
	// /.well-known/; "all". What begins with a dot, scripts, and copies of them never are.
	// Default: "usual" with presets php and cgi, "off" with app and while CheckFiles is off. In
	// Caddy "all", which leaves it to file_server, unless StaticTypes or StaticDirs are set.
	Static string `json:"static,omitempty"`
	// StaticTypes lists the endings of further files that may be sent, such as "zip".
	StaticTypes []string `json:"static_types,omitempty"`
	// StaticDirs lists URL prefixes below which all files may be sent, whatever their ending:
	// "/uploads", which is below Root, or "/cgit-css=/usr/share/cgit", whose files are in a
	// directory of their own.
	StaticDirs []string `json:"static_dirs,omitempty"`
	// Index lists the scripts that serve a directory (php). Default index.php.
	Index []string `json:"index,omitempty"`
	// Fallback is the script below Root, "/index.php", that answers for paths where
	// nothing is (php, cgi). Default: none, they are answered with 404.
	Fallback string `json:"fallback,omitempty"`
	// Hide lists URL prefixes, beginning with "/", below which nothing is served or
	// run: "/data" hides /data and /data/x, whatever way they are written. With a mount,
	// "/data" is below it, and "/wiki/data" is the same.
	Hide []string `json:"hide,omitempty"`
	// Env holds further CGI variables. They win over everything else.
	Env map[string]string `json:"env,omitempty"`
	// TrustedProxies lists the addresses and networks (CIDR; "unix" for unix
	// sockets) whose X-Forwarded-* and Forwarded fields are believed.
	TrustedProxies []string `json:"trusted_proxies,omitempty"`
	// UserHeader is the field, "X-Remote-User", in which a trusted proxy says who has
	// logged in: REMOTE_USER. From anybody else it is ignored. Default: none.
	UserHeader string `json:"user_header,omitempty"`
	// UnderscoreHeaders lists the request fields with an underscore in their names, "api_key",
	// that are passed on: HTTP_API_KEY. "Api-Key", which is the same variable, is not passed
	// then. Default: none, for clients could pass one off as the other.
	UnderscoreHeaders []string `json:"underscore_headers,omitempty"`

	// Sendfile lists the directories from which files are sent that the application names in
	// X-Sendfile, or in X-Accel-Redirect: DIR, or URI=DIR ("/protected=/srv/files"), where
	// URI stands for DIR in X-Accel-Redirect, as in a location of nginx. Default: none, and
	// only a trusted proxy gets such a field.
	Sendfile []string `json:"sendfile,omitempty"`

	// MaxBody is the largest request body, in bytes. Default 1 GiB.
	MaxBody int64 `json:"max_body,omitempty"`
	// MaxParams bounds a request's CGI variables together, encoded, in bytes.
	// Default 64 KiB, which every FastCGI server is known to take.
	MaxParams int `json:"max_params,omitempty"`
	// MaxResponseHeader bounds the application's response header, in bytes.
	// Default 64 KiB.
	MaxResponseHeader int `json:"max_response_header,omitempty"`
	// RequestBuffering is On (default): request bodies are read whole before a
	// worker is taken. Off: bodies of known length are sent to the application as
	// they arrive, and it may answer before they end; those of unknown length are
	// still read whole, because CONTENT_LENGTH must be true. A client that leaves while
	// it waits is noticed only when its body is read.
	RequestBuffering Switch `json:"request_buffering,omitempty"`
	// KeepAlive is Auto (default): connections to the application are kept for further
	// requests, unless an unused one stops others than its own worker, as in libfcgi
	// programs whose threads take turns at FCGX_Accept_r, or of which one accepts for
	// all. With preset app that is found out, and found out again when it may be another
	// application; the processes of the others take kept connections. On: they are kept.
	// Off: each carries one request.
	KeepAlive Switch `json:"keep_alive,omitempty"`
	// Multiplex is Auto (default): with preset app, when there are eight connections to
	// an instance it is asked on the next whether it serves several requests on one at
	// the same time (FCGI_MPXS_CONNS), and if so, requests without a body share
	// connections from there on. On: requests share connections from the first, those
	// with a small body, too, whatever the application says. Off: they never do. Scripts
	// (presets php and cgi) never do: a process of theirs serves one at a time.
	Multiplex Switch `json:"multiplex,omitempty"`

	// Lanes is On (default): slow requests are told from fast ones, and never take the
	// last workers. Off: requests take workers in the order in which they come, and all
	// but Queue.Size and Queue.Timeout of the gate's settings means nothing.
	Lanes Switch `json:"lanes,omitempty"`
	// LongPoll lists the paths that are known to be answered late, with "*" for any run
	// of characters: "/poll", "/chat/*/events". They may be written whole, or as they are
	// below the mount. Others are found out.
	LongPoll []string `json:"long_poll,omitempty"`
	// Reserve is how many workers of all instances together slow requests never take,
	// however idle they are. More are kept from them as short requests need them. Default:
	// a quarter, rounded up, and at least 2; 1 of two or three workers, 0 of one.
	Reserve *int `json:"reserve,omitempty"`

	Queue     QueueConfig     `json:"queue,omitzero"`
	Flow      FlowConfig      `json:"flow,omitzero"`
	Admission AdmissionConfig `json:"admission,omitzero"`
	Timeouts  TimeoutsConfig  `json:"timeouts,omitzero"`
	Spool     SpoolConfig     `json:"spool,omitzero"`

	// Logger receives errors and the application's standard error. Default: none.
	Logger *slog.Logger `json:"-"`
	// Observe is called once per request, after its end, with what became of it.
	// Default: none.
	Observe func(*http.Request, *Outcome) `json:"-"`

	// Identify completes who a request comes from, for a front in this process that knows
	// more: who has logged in, whom a proxy speaks for. If it sets Refused, that is the
	// answer. It is called for what a local redirect leads to as well. Default: nobody
	// knows more.
	Identify func(*http.Request, *cgi.Client) `json:"-"`
	// Expand gives each value of Env the form it has for a request. Default: as it is
	// written.
	Expand func(r *http.Request, value string) string `json:"-"`
	// RootOf gives the root for a request, in place of Root, which is then only shown. A path
	// that is not absolute, or climbs, is answered with 404, and so is one where no directory
	// is; that a name which a client has chosen is no ".git" is for RootOf to see to. Default:
	// it is Root.
	RootOf func(*http.Request) (string, error) `json:"-"`
	// OnStall is called when the application stops answering, and, with Stall.Ended set,
	// when it answers again. It must not block. Default: none.
	OnStall func(admission.Stall) `json:"-"`
	// OnOutage is called when an instance cannot be connected to, with the error, and with
	// nil when it can be again. It must not block. Default: none.
	OnOutage func(instance string, err error) `json:"-"`
	// OnGivenUp is called when no process of Spawn runs nor will for a while, because its
	// budget is spent: requests are refused. It must not block. Default: none.
	OnGivenUp func() `json:"-"`

	dial       func(ctx context.Context, network, addr string) (net.Conn, error) // a net.Dialer's, but in tests
	unread     func(net.Conn) pool.Unread                                        // the kernel's, but in tests
	codec      upstream.Codec                                                    // FastCGI, but in tests
	startGroup func(supervise.Config) (keeper, error)                            // supervise.Start, but in tests
}

// TimeoutsConfig bounds each step of a request.
type TimeoutsConfig struct {
	// Dial bounds one attempt to connect to the application. Default 2 s, which is
	// less than a request may wait for a connection (Queue.Timeout).
	Dial Duration `json:"dial,omitempty"`
	// Send is how long the application may take nothing of a request. Default 60 s.
	Send Duration `json:"send,omitempty"`
	// FirstByte is how long the application may say nothing after it was sent the
	// request. Default 60 s.
	FirstByte Duration `json:"first_byte,omitempty"`
	// BetweenBytes is how long it may pause within its answer. Default 60 s.
	BetweenBytes Duration `json:"between_bytes,omitempty"`
	// Request bounds the exchange with the application as a whole. Default: none.
	Request Duration `json:"request,omitempty"`
	// Idle is how long an unused connection to the application is kept. Default 5 s.
	Idle Duration `json:"idle,omitempty"`
	// Abandoned is how long a worker counts as busy for a client that has left, or
	// was sent a 504, if it does not finish before. Default 30 s.
	Abandoned Duration `json:"abandoned,omitempty"`
	// Client is how long the client may send nothing of its body, or take nothing
	// of the answer. Default 60 s. It holds while the handler runs; the server in
	// front must bound what it writes after that, and the deadlines it set before
	// are lifted.
	Client Duration `json:"client,omitempty"`
}

// SpoolConfig bounds what bodies may take while they wait for the slower side.
type SpoolConfig struct {
	// Dir is where temporary files go. Default: the system's.
	Dir string `json:"dir,omitempty"`
	// Buffer is how much of one body is held in memory, in bytes. Default 256 KiB.
	Buffer int `json:"buffer,omitempty"`
	// Memory is how much all bodies may take in memory, in bytes, what waits on shared
	// connections included. Default 64 MiB.
	Memory int64 `json:"memory,omitempty"`
	// Disk is how much they may take in temporary files, in bytes. Default 4 GiB.
	Disk int64 `json:"disk,omitempty"`
}

// Switch is "on", "off" or, where the field says so, "auto"; empty is the field's
// default.
type Switch string

// The values of a Switch.
const (
	On   Switch = "on"
	Off  Switch = "off"
	Auto Switch = "auto"
)

// among checks a switch, and sets one that is empty to the first value.
func (s *Switch) among(values ...Switch) error {
	if *s == "" {
		*s = values[0]
	}
	if slices.Contains(values, *s) {
		return nil
	}
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	last := len(texts) - 1
	return fmt.Errorf("is %q, want %s or %s", *s, strings.Join(texts[:last], ", "), texts[last])
}

// Duration is a time.Duration whose text form is "1.5s", "2m".
type Duration time.Duration

var (
	_ encoding.TextMarshaler   = Duration(0)
	_ encoding.TextUnmarshaler = (*Duration)(nil)
)

// MarshalText writes d as time.Duration.String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration (write 500ms, 3s, 2m)", text)
	}
	*d = Duration(v)
	return nil
}

// normalize fills in the defaults and checks what cannot be checked by the
// packages the values are for.
func (c *Config) normalize() error {
	if len(c.Backends) == 0 && c.Spawn == nil {
		return errors.New("backends: none given; name at least one, such as unix:/run/app.sock or 127.0.0.1:9000, or a command to spawn")
	}
	if err := c.normalizeSpawn(); err != nil {
		return err
	}
	for _, f := range []struct {
		key      string
		value    *int64
		fallback int64
	}{
		{"max_body", &c.MaxBody, 1 << 30},
		{"timeouts.dial", (*int64)(&c.Timeouts.Dial), int64(2 * time.Second)},
		{"timeouts.send", (*int64)(&c.Timeouts.Send), int64(time.Minute)},
		{"timeouts.first_byte", (*int64)(&c.Timeouts.FirstByte), int64(time.Minute)},
		{"timeouts.between_bytes", (*int64)(&c.Timeouts.BetweenBytes), int64(time.Minute)},
		{"timeouts.request", (*int64)(&c.Timeouts.Request), 0},
		{"timeouts.idle", (*int64)(&c.Timeouts.Idle), int64(5 * time.Second)},
		{"timeouts.abandoned", (*int64)(&c.Timeouts.Abandoned), int64(30 * time.Second)},
		{"timeouts.client", (*int64)(&c.Timeouts.Client), int64(time.Minute)},
	} {
		if *f.value < 0 {
			return fmt.Errorf("%s: must not be negative", f.key)
		}
		if *f.value == 0 {
			*f.value = f.fallback
		}
	}
	for _, f := range []struct {
		key      string
		value    *int
		fallback int
	}{
		{"workers", &c.Workers, 4},
		{"max_params", &c.MaxParams, 64 << 10},
		{"max_response_header", &c.MaxResponseHeader, 64 << 10},
	} {
		if *f.value < 0 {
			return fmt.Errorf("%s: is %d, must not be negative", f.key, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.fallback
		}
	}
	for _, f := range []struct {
		key    string
		value  *Switch
		values []Switch
	}{
		{"request_buffering", &c.RequestBuffering, []Switch{On, Off}},
		{"keep_alive", &c.KeepAlive, []Switch{Auto, On, Off}},
		{"multiplex", &c.Multiplex, []Switch{Auto, On, Off}},
		{"check_files", &c.CheckFiles, []Switch{On, Off}},
		{"resolve_root_symlink", new(c.ResolveRootSymlink), []Switch{On, Off}}, // the default depends on app_root
	} {
		if err := f.value.among(f.values...); err != nil {
			return fmt.Errorf("%s: %w", f.key, err)
		}
	}
	if c.Multiplex == On && !c.servers() {
		return fmt.Errorf("multiplex: is on, and preset is %s: a process of PHP or a CGI program serves one request at a time", c.Preset)
	}
	if c.ResolveRootSymlink == On && c.AppRoot != "" {
		return errors.New("resolve_root_symlink: is on, and app_root says what the application calls the root (remove one of them)")
	}
	if c.KeepAlive == Off && c.Multiplex == On {
		return errors.New("multiplex: is on, and keep_alive is off: requests cannot share connections that carry one each")
	}
	if err := c.normalizeGate(); err != nil {
		return err
	}
	if c.dial == nil {
		c.dial = new(net.Dialer).DialContext
	}
	if c.unread == nil {
		c.unread = unreadOf
	}
	if c.codec == nil {
		c.codec = fastcgi.Codec{}
	}
	if c.startGroup == nil {
		c.startGroup = startGroup
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// workers is how many requests all instances together may hold at once.
func (c *Config) workers() int {
	if c.Spawn != nil {
		return c.Workers * c.Spawn.MaxInstances
	}
	return c.Workers * len(c.Backends)
}

func (c *Config) pool(instances []pool.Instance) pool.Config {
	return pool.Config{
		Instances:   instances,
		Codec:       c.codec,
		Workers:     c.Workers,
		DialTimeout: time.Duration(c.Timeouts.Dial),
		WaitTimeout: time.Duration(c.Queue.Timeout),
		SendTimeout: time.Duration(c.Timeouts.Send),
		IdleTimeout: time.Duration(c.Timeouts.Idle),
		CloseDelay:  c.closeDelay(),
		TurnsAway:   c.servers(),
		Retires:     c.Preset == cgi.PresetPHP,
		WorksOn:     c.Preset == cgi.PresetPHP,
		KeepAlive:   c.keepAlive(),
		Multiplex:   c.multiplex(),
		Logger:      c.Logger,
		OnOutage:    c.OnOutage,
	}
}

// servers reports whether the application may be a server of its own kind: one that
// has threads, turns connections away, multiplexes. Scripts have processes for
// workers, and a backlog before them.
func (c *Config) servers() bool { return c.Preset == "" || c.Preset == cgi.PresetApp }

// closeDelay is how long a worker needs to be free after its connection was closed.
// flup was measured to turn away one connection in two at once, and one in 300
// after 1 ms; on a busy machine it takes longer.
func (c *Config) closeDelay() time.Duration {
	if c.servers() {
		return 10 * time.Millisecond
	}
	return 0
}

func (c *Config) keepAlive() pool.KeepAlive {
	switch {
	case c.KeepAlive == Off:
		return pool.KeepOff
	case c.KeepAlive == Auto && c.servers():
		return pool.KeepAuto
	}
	return pool.KeepOn
}

func (c *Config) multiplex() pool.Multiplex {
	switch {
	case c.Multiplex == On:
		return pool.MultiplexOn
	case c.Multiplex == Auto && c.KeepAlive != Off && c.servers():
		return pool.MultiplexAuto
	}
	return pool.MultiplexOff
}

func (c *Config) cgi() cgi.Config {
	return cgi.Config{
		Preset: c.Preset, Mount: c.Mount,
		Root: c.Root, RootOf: c.RootOf, KeepRootSymlink: c.ResolveRootSymlink == Off, AppRoot: c.AppRoot, Unchecked: c.CheckFiles == Off,
		Virtual: c.Virtual, Follow: c.Follow, Index: c.Index, Fallback: c.Fallback,
		Static: c.Static, StaticTypes: c.StaticTypes, StaticDirs: c.StaticDirs, Hide: c.Hide,
		Env: c.Env, Expand: c.Expand, TrustedProxies: c.TrustedProxies, UserHeader: c.UserHeader,
		UnderscoreHeaders: c.UnderscoreHeaders,
	}
}

func (c *Config) spool() spool.Config {
	return spool.Config{Dir: c.Spool.Dir, Buffer: c.Spool.Buffer, Memory: c.Spool.Memory, Disk: c.Spool.Disk, Logger: c.Logger}
}

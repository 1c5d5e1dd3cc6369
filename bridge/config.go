package bridge

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/classify"
	"github.com/sluice-proxy/sluice/bridge/internal/sendfile"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// Config configures an application and one site in front of it. Only Backends or Spawn must be
// set; Workers should be. A zero value selects the default, which package config documents
// beside each setting.
type Config struct {
	ApplicationConfig
	SiteConfig
	BackendHooks
	SiteHooks
}

// The types of package config that a program needs to set up a Bridge.
type (
	ApplicationConfig = config.Application
	SiteConfig        = config.Site

	QueueConfig        = config.Queue
	AdmissionConfig    = config.Admission
	SpoolConfig        = config.Spool
	SpawnConfig        = config.Spawn
	SpawnBudget        = config.Budget
	FlowConfig         = config.Flow
	TimeoutsConfig     = config.RequestTimeouts
	ConnectionTimeouts = config.ConnectionTimeouts
	PollAnswer         = config.PollAnswer

	Protocol = config.Protocol
	Switch   = config.Switch
	Excess   = config.Excess
	Duration = config.Duration
	Umask    = config.Umask
	Signal   = config.Signal
)

// The values of a Protocol, a Switch and an Excess.
const (
	FastCGI, SCGI, UWSGI = config.FastCGI, config.SCGI, config.UWSGI

	On, Off, Auto = config.On, config.Off, config.Auto
	Refuse, Evict = config.Refuse, config.Evict
)

// BackendHooks are the logger and the callbacks of a Backend. All are optional.
type BackendHooks struct {
	// Logger receives errors and the application's standard error. Default: none.
	Logger *slog.Logger
	// OnStall is called when the application stops answering, and, with Stall.Ended set,
	// when it answers again. It must not block. Default: none.
	OnStall func(admission.Stall)
	// OnOutage is called when an instance cannot be connected to, with the error, and with
	// nil when it can be again. It must not block. Default: none.
	OnOutage func(instance string, err error)
	// OnGivenUp is called when no process of Spawn runs nor will for a while, because its
	// budget is spent: requests are refused. It must not block. Default: none.
	OnGivenUp func()
	// Reexec lets this program run itself once more to set up what can only be set
	// between fork and exec. It must call supervise.Child first thing in main.
	Reexec bool

	dial       func(ctx context.Context, network, addr string) (net.Conn, error) // a net.Dialer's, but in tests
	unread     func(net.Conn) pool.Unread                                        // the kernel's, but in tests
	startGroup func(supervise.Config) (keeper, error)                            // supervise.Start, but in tests
}

func (h BackendHooks) withDefaults() BackendHooks {
	if h.dial == nil {
		h.dial = new(net.Dialer).DialContext
	}
	if h.unread == nil {
		h.unread = unreadOf
	}
	if h.startGroup == nil {
		h.startGroup = startGroup
	}
	if h.Logger == nil {
		h.Logger = slog.New(slog.DiscardHandler)
	}
	return h
}

// SiteHooks are the callbacks of a Bridge. All are optional.
type SiteHooks struct {
	// Observe is called once per request, after its end, with what became of it.
	// Default: none.
	Observe func(*http.Request, *Outcome)
	// Identify completes who a request comes from, for a front in this process that knows
	// more: who has logged in, whom a proxy speaks for. If it sets Refused, that is the
	// answer. It is called for what a local redirect leads to as well. Default: nobody
	// knows more.
	Identify func(*http.Request, *cgi.Client)
	// Expand gives each value of Env the form it has for a request. Default: as it is
	// written.
	Expand func(r *http.Request, value string) string
	// RootOf gives the root for a request, in place of Root, which is then only shown. A path
	// that is not absolute, or climbs, is answered with 404, and so is one where no directory
	// is; that a name which a client has chosen is no ".git" is for RootOf to see to. Default:
	// it is Root.
	RootOf func(*http.Request) (string, error)
}

// site is the complete configuration of a Bridge.
type site struct {
	SiteConfig
	SiteHooks
	Logger    *slog.Logger
	preset    string
	keySource classify.KeySource // Flow.Key, parsed
}

// newSite completes and checks the configuration of a site. app is complete.
func newSite(cfg SiteConfig, hooks SiteHooks, app *ApplicationConfig, logger *slog.Logger) (*site, error) {
	s := &site{SiteConfig: cfg, SiteHooks: hooks, Logger: logger, preset: app.Preset}
	if err := s.Complete(); err != nil {
		return nil, err
	}
	if err := checkSite(&s.SiteConfig, app); err != nil {
		return nil, err
	}
	var err error
	s.keySource, err = completeFlow(&s.Flow)
	return s, err
}

func (s *site) cgi() cgi.Config {
	return cgi.Config{
		Preset: s.preset, Mount: s.Mount,
		Root: s.Root, RootOf: s.RootOf, KeepRootSymlink: s.ResolveRootSymlink == Off, AppRoot: s.AppRoot, Unchecked: s.CheckFiles == Off,
		Virtual: s.Virtual, Follow: s.Follow, Index: s.Index, Fallback: s.Fallback,
		Static: s.Static, StaticTypes: s.StaticTypes, StaticDirs: s.StaticDirs, Hide: s.Hide,
		Env: s.Env, Expand: s.Expand, TrustedProxies: s.TrustedProxies, UserHeader: s.UserHeader,
		UnderscoreHeaders: s.UnderscoreHeaders,
	}
}

// Validate checks what can be checked without a look at the system. An error names the key
// it is about.
func (c Config) Validate() error {
	s, err := c.complete()
	if err != nil {
		return err
	}
	if _, err := sendfile.New(s.Sendfile); err != nil {
		return err
	}
	return s.cgi().Validate()
}

// CheckDirectories returns an error that names the key if a directory of the files, such as
// Root, is not there. New takes that for something that will change, and a misspelt path
// may never.
func (c Config) CheckDirectories() error {
	s, err := c.complete()
	if err != nil {
		return err
	}
	return s.cgi().CheckDirectories()
}

// complete completes and checks both. It returns the site.
func (c *Config) complete() (*site, error) {
	if err := completeApplication(&c.ApplicationConfig); err != nil {
		return nil, err
	}
	return newSite(c.SiteConfig, c.SiteHooks, &c.ApplicationConfig, c.Logger)
}

package bridge

import (
	"context"
	"log/slog"
	"net"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/app"
	"github.com/sluice-proxy/sluice/bridge/internal/compress"
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
	ApplicationHooks
	SiteHooks
}

// ApplicationConfig and SiteConfig are declared in package config, with all that they consist
// of.
type (
	ApplicationConfig = config.Application
	SiteConfig        = config.Site
)

// ApplicationHooks are the logger and the callbacks of an Application. All are optional.
type ApplicationHooks struct {
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

	// Replaced in tests: how to connect, what tells how much was read, and what starts
	// processes.
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	unread func(net.Conn) pool.Unread
	start  func(context.Context, supervise.Config) (app.Supervisor, error)
}

func (h *ApplicationHooks) internal() app.Hooks {
	return app.Hooks{
		Logger: h.Logger, OnStall: h.OnStall, OnOutage: h.OnOutage, OnGivenUp: h.OnGivenUp, Reexec: h.Reexec,
		Dial: h.dial, Unread: h.unread, Start: h.start,
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
	if _, err := compress.New(&s.Compression, new(compress.Counts)); err != nil {
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
	if err := app.Complete(&c.ApplicationConfig); err != nil {
		return nil, err
	}
	return newSite(c.SiteConfig, c.SiteHooks, &c.ApplicationConfig, c.Logger)
}

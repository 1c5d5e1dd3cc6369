package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// options holds the flags of serve: the settings of an application, of one site in front of it, and
// of the server, or the file that has those of several.
type options struct {
	config.Config
	server  config.Server
	site    config.FlagSite
	written config.Written
	set     *pflag.FlagSet

	file        string
	printConfig bool
	given       *config.Standalone // what the flags mean, without defaults
}

// The flags that are no settings.
const flagConfig, flagPrint = "config", "print-config"

func (o *options) register(f *pflag.FlagSet) {
	f.SortFlags = false
	o.set = f
	f.StringVar(&o.file, flagConfig, "", "the settings are in this `FILE`, of several applications and sites if need be; no other flag goes with it (default "+defaultFile+" if there are no flags, and it exists)")
	registerSettings(f, &o.server, &o.written)
	registerSettings(f, &o.Config, &o.written)
	registerSettings(f, &o.site, &o.written)
	f.BoolVar(&o.printConfig, flagPrint, false, "print the file for --config that the other flags mean, and end")
}

// complete fills in the command and the defaults, and checks what can be checked without a look at
// the system. command is empty if the application is already running.
func (o *options) complete(command []string) error {
	switch {
	case len(o.Backends) == 0 && len(command) == 0:
		return errors.New("nothing to serve: name the application with --backend ADDR, give a command to run after \"--\", or name a file with --config")
	case len(o.Backends) > 0 && len(command) > 0:
		return errors.New("--backend and a command exclude each other: does the application run already, or should it be started?")
	}
	if err := o.setCommand(command); err != nil {
		return err
	}
	o.given = o.standalone()
	site := o.hosted()
	for _, err := range []error{o.server.Complete(), o.Application.Complete(), site.Complete()} {
		if err != nil {
			return o.flagError(err)
		}
	}
	o.Site, o.site.TLS = site.Site, site.TLS
	return nil
}

// hosted is the only site.
func (o *options) hosted() *config.HostedSite {
	return &config.HostedSite{Uses: config.OnlyApplication, Auth: o.site.Auth, TLS: o.site.TLS, Site: o.Site}
}

// standalone returns the configuration that the flags mean.
func (o *options) standalone() *config.Standalone {
	return &config.Standalone{
		Server:       o.server,
		Applications: []*config.NamedApplication{{Name: config.OnlyApplication, Application: o.Application}},
		Sites:        []*config.HostedSite{o.hosted()},
	}
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

// other returns a flag that was given besides those in except, "" if there is none.
func (o *options) other(except ...string) (name string) {
	o.set.Visit(func(f *pflag.Flag) {
		if name == "" && !slices.Contains(except, f.Name) {
			name = f.Name
		}
	})
	return name
}

// ServerError, ApplicationError and SiteError return err with the flag that it is about.
func (o *options) ServerError(err error) error             { return o.flagError(err) }
func (o *options) ApplicationError(_ int, err error) error { return o.flagError(err) }
func (o *options) SiteError(_ int, err error) error        { return o.flagError(err) }

// nameOf implements source.
func (o *options) nameOf(key string) string { return flagOfKey(key) }

// logLevels are the values of log_level.
var logLevels = map[config.LogLevel]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

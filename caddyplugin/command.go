package caddyplugin

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "sluice",
		Usage: "[--listen <addr>] [--domain <example.com>] [--backend <addr>...] [--workers <n>] [--preset app|php|cgi] [--root <path>] [--mount <path>] [--access-log] [--debug] [-- <command>...]",
		Short: "Serves a FastCGI, SCGI, uwsgi or HTTP application through Sluice's gate",
		Long: `
Serves a FastCGI, SCGI, uwsgi or HTTP application, over HTTPS if --domain is given. Either the
application is already running, at the addresses of --backend, or it is a command
after "--", which is started and kept running.

With --preset php or cgi, scripts and files below --root are served.

The listener's socket address can be customized with the --listen flag. It is
:80 by default, and :443 if a domain is given.

For more than a trial, use the directive sluice in a Caddyfile.`,
		CobraFunc: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringP("listen", "l", "", "The address to which to bind the listener")
			f.StringP("domain", "d", "", "Domain name at which to serve the application")
			f.StringArrayP("backend", "b", nil, "The application's address: unix:/path or host:port, scgi://host:port, uwsgi+unix:/path; may be given several times")
			f.IntP("workers", "w", 4, "How many requests one backend can hold at once: its threads or processes")
			f.StringP("preset", "p", cgi.PresetApp, "How URLs map to the application: app, php or cgi")
			f.StringP("root", "r", "", "Directory of the scripts and files")
			f.StringP("mount", "m", "", "URL prefix the application lives at")
			f.BoolP("access-log", "a", false, "Enable the access log")
			f.BoolP("debug", "v", false, "Enable verbose debug logs")
			cmd.RunE = caddycmd.WrapCommandFuncForCobra(serve)
		},
	})
}

// serve runs Caddy with one site. It returns only if Caddy cannot be started.
func serve(f caddycmd.Flags) (int, error) {
	caddy.TrapSignals()
	backends, err := f.GetStringArray("backend")
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if n := f.Int("workers"); n < 1 {
		return caddy.ExitCodeFailedStartup, fmt.Errorf("--workers %d: want at least 1", n)
	}
	c := config.Config{Application: config.Application{Backends: backends, Workers: f.Int("workers"), Preset: config.Preset(f.String("preset"))}, Site: config.Site{Mount: f.String("mount"), Root: f.String("root")}}
	if command := f.Args(); len(command) > 0 {
		if f.ArgsLenAtDash() != 0 {
			return caddy.ExitCodeFailedStartup, fmt.Errorf("unexpected argument %q: a command to run goes after \"--\"", command[0])
		}
		c.Spawn = &config.Spawn{Command: command}
	}
	if c.Preset != cgi.PresetApp && c.Root == "" {
		return caddy.ExitCodeFailedStartup, fmt.Errorf("--root: preset %q needs the directory of its scripts", c.Preset)
	}
	if err := setScriptDefaults(&c, ""); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if err := validate(c, false); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	cfg, err := singleSite(c, f.String("listen"), f.String("domain"), f.Bool("access-log"))
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if f.Bool("debug") {
		cfg.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: zap.DebugLevel.CapitalString()}}}}
	}
	if err := caddy.Run(cfg); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	select {}
}

// singleSite returns the configuration of a Caddy that serves only c.
func singleSite(c config.Config, listen, domain string, accessLog bool) (*caddy.Config, error) {
	route := caddyhttp.Route{HandlersRaw: []json.RawMessage{caddyconfig.JSONModuleObject(&Handler{Config: c}, "handler", "sluice", nil)}}
	if c.Preset != cgi.PresetApp {
		root, err := filepath.Abs(c.Root)
		if err != nil {
			return nil, err
		}
		files := map[string]any{"root": root, "index_names": []string{"index.html"}}
		route.HandlersRaw = append(route.HandlersRaw, caddyconfig.JSONModuleObject(files, "handler", "file_server", nil))
	}
	server := &caddyhttp.Server{Routes: caddyhttp.RouteList{route}}
	switch {
	case domain != "":
		server.Routes[0].MatcherSetsRaw = []caddy.ModuleMap{{"host": caddyconfig.JSON(caddyhttp.MatchHost{domain}, nil)}}
		server.Listen = []string{":443"}
	default:
		server.Listen = []string{":80"}
		server.AutoHTTPS = &caddyhttp.AutoHTTPSConfig{Disabled: true}
	}
	if listen != "" {
		server.Listen = []string{listen}
	}
	if accessLog {
		server.Logs = &caddyhttp.ServerLogConfig{}
	}
	return &caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: new(bool)}},
		AppsRaw: caddy.ModuleMap{"http": caddyconfig.JSON(caddyhttp.App{Servers: map[string]*caddyhttp.Server{"sluice": server}}, nil)},
	}, nil
}

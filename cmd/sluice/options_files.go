package main

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// fileOptions say where scripts and static files are, and which of the latter are sent.
type fileOptions struct {
	root, appRoot                          string
	resolveRootSymlink, checkFiles, static string
	index, follow, hide, virtual           []string
	staticTypes, staticDirs                []string
	fallback                               string
}

func (o *fileOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.root, "root", "", "`DIR` of the scripts and static files")
	f.StringVar(&o.resolveRootSymlink, "resolve-root-symlink", "", "on: the application is told the directory that --root leads to without symbolic links, so that a release is switched at once; off: --root as it is written (default on)")
	f.StringVar(&o.appRoot, "app-root", "", "`DIR` that --root is for the application, if that is in a container or a chroot")
	f.StringVar(&o.checkFiles, "check-files", "on", "on: scripts are looked for below --root; off: the files cannot be seen from here, and --root is the application's directory")
	f.StringArrayVar(&o.virtual, "virtual", nil, "URL `PATH` of a script that no file stands for, such as PHP-FPM's /ping and /status, presets php and cgi; may be given several times")
	f.StringSliceVar(&o.index, "index", nil, "`FILE` that serves a directory, preset php (default index.php, then index.html)")
	f.StringVar(&o.fallback, "fallback", "", "`SCRIPT` below --root, such as /index.php, that answers where nothing is, presets php and cgi (default: 404)")
	f.StringArrayVar(&o.follow, "follow", nil, "`DIR` outside --root that symbolic links may lead into; may be given several times")
	f.StringVar(&o.static, "static", "", "which files below --root are sent: usual (styles, scripts for browsers, images, fonts and the like), all (that are no scripts) or off (default usual; preset app: off)")
	f.StringSliceVar(&o.staticTypes, "static-types", nil, "further `ENDINGS` of files below --root that are sent, such as zip,docx")
	f.StringSliceVar(&o.staticDirs, "static-dirs", nil, "URL `PREFIX`es below which all files are sent, such as /uploads, or /cgit-css=/usr/share/cgit for a directory outside --root")
	f.StringArrayVar(&o.hide, "hide", nil, "URL `PREFIX` below which nothing is served or run, whole or as it is below --mount; may be given several times")
}

// check finds what has a value here that means something else in a bridge.Config.
func (o *fileOptions) check() error {
	if o.checkFiles == "" {
		return errors.New("--check-files: want on or off")
	}
	return nil
}

// into sets what the flags come to. c has its preset.
func (o *fileOptions) into(c *bridge.Config) {
	c.Root, c.AppRoot, c.Follow, c.Virtual, c.Hide = o.root, o.appRoot, o.follow, o.virtual, o.hide
	c.ResolveRootSymlink, c.CheckFiles = bridge.Switch(o.resolveRootSymlink), bridge.Switch(o.checkFiles)
	c.Static, c.StaticTypes, c.StaticDirs = o.static, o.staticTypes, o.staticDirs
	c.Fallback, c.Index = o.fallback, o.index
	if c.Preset == cgi.PresetPHP && len(c.Index) == 0 {
		c.Index = []string{"index.php"}
		if c.CheckFiles != bridge.Off && c.Static != cgi.StaticOff {
			c.Index = append(c.Index, "index.html")
		}
	}
}

package caddyplugin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// checkFiles refuses settings that Caddy's file_server replaces. By default it leaves all files to
// file_server.
func checkFiles(c *config.Config) error {
	for _, text := range c.StaticDirs {
		if prefix, dir, outside := strings.Cut(text, "="); outside {
			return fmt.Errorf("static_dirs %q: in Caddy, files of another directory are sent by: handle_path %s/* { root * %s; file_server }", text, prefix, dir)
		}
	}
	scripts := c.Preset == cgi.PresetPHP || c.Preset == cgi.PresetCGI
	if s := c.Spawn; s != nil && s.Ready != "" && scripts && dependsOnRequest(c.Root) {
		return errors.New("spawn.ready: cannot be used with a root that depends on the request")
	}
	if scripts && c.Root != "" && c.Static == "" && len(c.StaticTypes)+len(c.StaticDirs) == 0 && c.CheckFiles != config.Off {
		c.Static = cgi.StaticAll
	}
	return nil
}

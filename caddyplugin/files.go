package caddyplugin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// checkFiles refuses what Caddy's own file_server is for, and leaves it all files if the
// configuration says nothing else.
func checkFiles(c *config.Config) error {
	for _, text := range c.StaticDirs {
		if prefix, dir, outside := strings.Cut(text, "="); outside {
			return fmt.Errorf("static_dirs %q: in Caddy, files of another directory are sent by: handle_path %s/* { root * %s; file_server }", text, prefix, dir)
		}
	}
	scripts := c.Preset == cgi.PresetPHP || c.Preset == cgi.PresetCGI
	if s := c.Spawn; s != nil && s.Ready != "" && scripts && isOfRequests(c.Root) {
		return errors.New("spawn.ready: the root is another one for each request, and which it is for this path is not known")
	}
	if scripts && c.Static == "" && len(c.StaticTypes)+len(c.StaticDirs) == 0 && c.CheckFiles != config.Off {
		c.Static = cgi.StaticAll
	}
	return nil
}

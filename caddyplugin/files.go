package caddyplugin

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// ofCaddy are what Caddy itself does, and where: its rules apply before this handler is asked, and its
// files do not go through it.
var ofCaddy = []struct {
	key, instead string
	isSet        func(*config.Config) bool
}{
	{"redirect", "redir /old /new 301", func(c *config.Config) bool { return len(c.Redirect) > 0 }},
	{"rewrite", "rewrite /wiki/* /index.php?title={path}", func(c *config.Config) bool { return len(c.Rewrite) > 0 }},
	{"static_missing", "file_server in a handle of its own", func(c *config.Config) bool { return c.StaticMissing != "" }},
	{"static_cache", "header /assets/* Cache-Control max-age=3600", func(c *config.Config) bool { return len(c.StaticCache) > 0 }},
	{"static_precompressed", "file_server { precompressed br zstd gzip }", func(c *config.Config) bool { return len(c.StaticPrecompressed) > 0 }},
	{"compression", "encode", func(c *config.Config) bool { return !reflect.ValueOf(c.Compression).IsZero() }},
}

// checkOfCaddy refuses settings that directives of Caddy replace.
func checkOfCaddy(c *config.Config) error {
	for _, s := range ofCaddy {
		if s.isSet(c) {
			return fmt.Errorf("%s: in Caddy, this is done by: %s", s.key, s.instead)
		}
	}
	return nil
}

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

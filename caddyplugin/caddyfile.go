package caddyplugin

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("sluice", parseDirective)
	httpcaddyfile.RegisterDirectiveOrder("sluice", httpcaddyfile.Before, "reverse_proxy")
}

// parseDirective parses the directive. The default of root is that of the site's root directive.
func parseDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	root, _ := h.BlockState["root"].(string)
	return handler, handler.unmarshal(h.Dispenser, root)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	sluice [<matcher>] [<backends...>] {
//	    <setting> <value>
//	    <group> {
//	        <setting> <value>
//	    }
//	    spawn <command...> {
//	        <setting> <value>
//	    }
//	}
//
// docs/settings.md lists the settings by these names.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return h.unmarshal(d, "") }

func (h *Handler) unmarshal(d *caddyfile.Dispenser, siteRoot string) error {
	d.Next() // the directive's name
	p := newParser(d, &h.Config)
	h.Backends = d.RemainingArgs()
	if err := p.block(""); err != nil {
		return err
	}
	warnRenamed(&p.written)
	if err := setScriptDefaults(&h.Config, siteRoot); err != nil {
		return p.locate(err)
	}
	if hasPlaceholder(h.Config) {
		return nil // Provision checks it
	}
	c := h.Config // Provision changes it in the same way
	if err := checkFiles(&c); err != nil {
		return p.locate(err)
	}
	return p.locate(validate(c, false))
}

// warnRenamed logs settings that are written with former names. In a Caddyfile they are known only here: the
// adapted configuration has the present names.
func warnRenamed(written *config.Written) {
	for _, renamed := range written.Renamed() {
		caddy.Log().Warn("sluice: a setting has a new name: " + renamed)
	}
}

// defaultFallback is the default of fallback, if the file exists.
const defaultFallback = "/index.php"

// setScriptDefaults sets the defaults for the presets php and cgi.
func setScriptDefaults(c *config.Config, siteRoot string) error {
	if c.Preset != cgi.PresetPHP && c.Preset != cgi.PresetCGI {
		return nil
	}
	if c.Root == "" {
		c.Root = siteRoot
	}
	if c.Root == "" {
		return fmt.Errorf("root: preset %q needs the directory of its scripts (a root directive counts if it is above and has no matcher; for another, write: root {http.vars.root})", c.Preset)
	}
	if c.Preset == cgi.PresetPHP {
		setPHPDefaults(c)
	}
	return nil
}

func setPHPDefaults(c *config.Config) {
	c.Index = c.UsualIndex()
	switch {
	case c.Fallback == "off":
		c.Fallback = ""
	case c.Fallback == "" && !(cgi.Config{Mount: c.Mount, Hide: c.Hide}).Hides(defaultFallback):
		c.Fallback = defaultFallback
	}
}

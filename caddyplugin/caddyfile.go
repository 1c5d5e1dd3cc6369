package caddyplugin

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/cgi"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("sluice", parseDirective)
	httpcaddyfile.RegisterDirectiveOrder("sluice", httpcaddyfile.Before, "reverse_proxy")
}

// parseDirective reads the directive. The scripts of a site that has a root directive
// are below that root.
func parseDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	root, _ := h.BlockState["root"].(string)
	return handler, handler.unmarshal(h.Dispenser, root)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	sluice [<matcher>] [<backends...>] {
//	    backends            <addresses...>
//	    workers             <number>
//	    preset              app|php|cgi
//	    mount               <path>
//	    root                <directory>
//	    resolve_root_symlink on|off
//	    app_root            <directory>
//	    check_files         on|off
//	    virtual             <paths...>
//	    follow              <directories...>
//	    index               <files...>
//	    fallback            <script>|off
//	    static              off|usual|all
//	    static_types        <endings...>
//	    static_dirs         <paths...>
//	    hide                <paths...>
//	    env                 <name> <value>
//	    trusted_proxies     <addresses...>
//	    user_header         <field>
//	    underscore_headers  <fields...>
//	    max_body            <size>
//	    max_params          <size>
//	    max_response_header <size>
//	    request_buffering   on|off
//	    keep_alive          on|off
//	    multiplex           auto|on|off
//	    lanes               on|off
//	    long_poll           <paths...>
//	    reserve             <number>
//	    queue {
//	        size         <number>
//	        long_size    <number>
//	        timeout      <duration>
//	        long_timeout <duration>
//	        poll_answer  <status> [<body> [<content type>]]
//	    }
//	    flow {
//	        key           auto|user|client|off|cookie <name>|header <name>
//	        limit         <number>
//	        max_addresses <number> per <duration>
//	        excess        refuse|evict
//	    }
//	    admission {
//	        long_after|stall_after|wait_target <duration>
//	        unknown|long_min|spent_limit       <number>
//	        flow_rate|flow_burst               <number>
//	    }
//	    timeouts {
//	        dial|send|first_byte|between_bytes|request|idle|abandoned|client <duration>
//	    }
//	    spool {
//	        dir                <directory>
//	        buffer|memory|disk <size>
//	    }
//	    spawn <command> [<arguments...>] {
//	        dir       <directory>
//	        env       <name> <value>
//	        env_copy  <names...>
//	        user|group <name>
//	        umask     <mask>
//	        nice|open_files|backlog <number>
//	        core|address_space      <size>
//	        listen    <host:port>
//	        budget    <number> per <duration> [stop]
//	        instances|max_instances|max_requests <number>
//	        ready     <path>
//	        start_timeout|max_lifetime|idle_shutdown|drain_timeout <duration>
//	        memory_soft|memory_hard|memory_total <size>
//	        max_time|stall_kill|quarantine <duration>
//	        dump_signal <name>
//	    }
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return h.unmarshal(d, "") }

func (h *Handler) unmarshal(d *caddyfile.Dispenser, siteRoot string) error {
	d.Next() // the directive's name
	p := newParser(d)
	h.Backends = d.RemainingArgs()
	options := optionsOf(&h.Config)
	options["backends"] = list(&h.Backends)
	if err := p.block("", options); err != nil {
		return err
	}
	if err := scripts(&h.Config, siteRoot); err != nil {
		return p.locate(err)
	}
	if hasPlaceholder(h.Config) {
		return nil // Provision will see
	}
	c := h.Config // as Provision will have it
	if err := checkFiles(&c); err != nil {
		return p.locate(err)
	}
	return p.locate(c.Validate())
}

// usualFallback is what answers where nothing is, if it is there.
const usualFallback = "/index.php"

// scripts sets what goes without saying on a site of scripts.
func scripts(c *bridge.Config, siteRoot string) error {
	if c.Preset != cgi.PresetPHP && c.Preset != cgi.PresetCGI {
		return nil
	}
	if c.Root == "" {
		c.Root = siteRoot
	}
	if c.Root == "" {
		return fmt.Errorf("root: preset %q needs the directory of its scripts (of a root directive, that counts which is above and has no matcher; for another, write: root {http.vars.root})", c.Preset)
	}
	if c.Preset == cgi.PresetPHP {
		php(c)
	}
	return nil
}

func php(c *bridge.Config) {
	if c.Index == nil {
		c.Index = []string{"index.php"}
		if c.CheckFiles != bridge.Off && c.Static != cgi.StaticOff {
			c.Index = append(c.Index, "index.html")
		}
	}
	switch {
	case c.Fallback == "off":
		c.Fallback = ""
	case c.Fallback == "" && !(cgi.Config{Mount: c.Mount, Hide: c.Hide}).Hides(usualFallback):
		c.Fallback = usualFallback
	}
}

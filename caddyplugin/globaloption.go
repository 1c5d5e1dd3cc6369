package caddyplugin

import (
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() { httpcaddyfile.RegisterGlobalOption("sluice", parseGlobalOption) }

// parseGlobalOption parses the global option sluice.
func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next() // the option's name, whose line the error has
		return nil, d.Err("sluice: is given twice")
	}
	a := new(App)
	if err := a.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "sluice", Value: caddyconfig.JSON(a, nil)}, nil
}

// UnmarshalCaddyfile sets up the app from Caddyfile tokens. Syntax:
//
//	sluice {
//	    web_servers {
//	        socket_group    <group>
//	        max_connections <number>
//	        max_requests    <number>
//	    }
//	}
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	if d.NextArg() {
		return d.Errf("sluice: unexpected '%s', want a block in braces", d.Val())
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch {
		case d.Val() != "web_servers":
			return d.Errf("unrecognized option '%s', want web_servers (the settings of an application belong to the directive sluice of a site)", d.Val())
		case a.WebServers != nil:
			return d.Err("web_servers: is given twice")
		case d.NextArg():
			return d.Errf("web_servers: unexpected '%s', want a block in braces", d.Val())
		}
		a.WebServers = new(WebServers)
		if err := a.WebServers.unmarshal(d); err != nil {
			return err
		}
	}
	return nil
}

// unmarshal parses the block that begins here.
func (w *WebServers) unmarshal(d *caddyfile.Dispenser) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		var number *int // nil: a text
		switch option {
		case "socket_group":
		case "max_connections":
			number = &w.MaxConnections
		case "max_requests":
			number = &w.MaxRequests
		default:
			return d.Errf("unrecognized option '%s', want one of: max_connections, max_requests, socket_group", option)
		}
		values := d.RemainingArgs()
		switch {
		case seen[option]:
			return d.Errf("%s: is given twice", option)
		case len(values) != 1:
			return d.Errf("%s: want one value, have %d", option, len(values))
		case number == nil:
			w.SocketGroup = values[0]
		default:
			n, err := strconv.Atoi(values[0])
			if err != nil {
				return d.Errf("%s: %q is not a whole number", option, values[0])
			}
			if n < 1 {
				return d.Errf("%s: is %d, want at least 1", option, n)
			}
			*number = n
		}
		seen[option] = true
	}
	return nil
}

// Command caddy is Caddy with Sluice in it, for those without xcaddy.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/sluice-proxy/sluice/caddyplugin"
)

func main() { caddycmd.Main() }

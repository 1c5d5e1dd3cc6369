package caddyplugin

import "github.com/sluice-proxy/sluice/bridge/supervise"

// A spawned application begins as this program, which sets up what can only be set
// between fork and exec, and becomes the command. A Caddy that xcaddy builds has a main
// that does not know of this, so it is done before main.
func init() { supervise.Child() }

package caddyplugin

import "github.com/sluice-proxy/sluice/bridge/supervise"

// A spawned process starts as this program, which makes the settings that are possible only between fork
// and exec, and then executes the command. The main function of a Caddy built by xcaddy cannot do this,
// so it happens before main.
func init() { supervise.Child() }

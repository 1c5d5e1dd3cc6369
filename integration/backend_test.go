//go:build linux

package integration

import (
	"maps"
	"slices"
	"strconv"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// backend is a running application and how to configure Sluice for it.
type backend struct {
	addr      string // as --backend takes it; empty if Sluice starts it
	protocol  config.Protocol
	socket    config.SocketMode // how a command gets its socket, if that is not the default
	workers   int               // requests it serves at once
	preset    string
	root      string
	env       map[string]string
	keepAlive config.Switch
	prefix    string // what precedes a route in a URL, such as /routes.php
	process   *process

	ownVars bool // /params shows only what the server made of the variables
	isHTTP  bool // the application has made the variables of an HTTP request
}

// args are the flags of sluice serve for the backend.
func (be backend) args() []string {
	args := []string{"--workers", strconv.Itoa(be.workers)}
	if be.addr != "" {
		args = append(args, "--backend", be.addr)
	}
	if be.protocol != "" {
		args = append(args, "--protocol", string(be.protocol))
	}
	if be.socket != "" {
		args = append(args, "--command-socket", string(be.socket))
	}
	if be.preset != "" {
		args = append(args, "--preset", be.preset)
	}
	if be.root != "" {
		args = append(args, "--root", be.root)
	}
	if be.keepAlive != "" {
		args = append(args, "--keep-alive", string(be.keepAlive))
	}
	for _, k := range slices.Sorted(maps.Keys(be.env)) {
		args = append(args, "--env", k+"="+be.env[k])
	}
	return args
}

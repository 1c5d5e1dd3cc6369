package main

import (
	"net/http"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/status"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// statusHandler serves the status of the bridge, and of the command if there is one.
func statusHandler(b *bridge.Bridge, command *supervise.Process) http.Handler {
	if command == nil {
		return status.Handler(b.Snapshot)
	}
	type both struct {
		bridge.Snapshot
		Processes supervise.Snapshot `json:"processes"`
	}
	return status.Handler(func() both { return both{b.Snapshot(), command.Snapshot()} })
}

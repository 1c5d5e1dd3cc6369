package main

import (
	"encoding/json"
	"net/http"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/status"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// statusHandler serves the status of the bridge, and of the command if there is one.
func statusHandler(b *bridge.Bridge, command *supervise.Process) http.Handler {
	plain := status.Handler(b.Snapshot)
	if command == nil {
		return plain
	}
	mux := http.NewServeMux()
	mux.Handle("/", plain)
	mux.HandleFunc("GET /status.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(struct { // it always encodes; the client may have left
			bridge.Snapshot
			Processes supervise.Snapshot `json:"processes"`
		}{b.Snapshot(), command.Snapshot()})
	})
	return mux
}

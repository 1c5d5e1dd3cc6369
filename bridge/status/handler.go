package status

import (
	"encoding/json"
	"io"
	"net/http"
)

// Handler serves the JSON of what snapshot returns: a bridge.Snapshot, or a struct that contains
// one. It must be possible to encode that as JSON.
func Handler[S any](snapshot func() S) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ok\n") // the client may have left
	})
	mux.HandleFunc("GET /status.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(snapshot()) // encoding cannot fail; the client may have left
	})
	return mux
}

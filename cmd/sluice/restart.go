package main

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// restartHandler replaces the application's processes, and answers when that is done, or
// stops ends. Web pages must not make their visitors' browsers ask for it; under a name of
// their own that leads here, the guard of the status refuses it.
func restartHandler(b *bridge.Handler, stops context.Context) http.Handler {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(stops, cancel)()
		rc := http.NewResponseController(w)
		bound := func(t time.Time) { _, _ = rc.SetReadDeadline(t), rc.SetWriteDeadline(t) } // a recorder in tests has none
		bound(time.Time{})                                                                  // it may take longer than the server allows
		err := b.Application().Restart(ctx)
		bound(time.Now().Add(statusTimeout))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "restarted\n") // the client may have left
	})
	return http.NewCrossOriginProtection().Handler(h)
}

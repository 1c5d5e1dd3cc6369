package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// restartHandler replaces the application's processes, and answers when that is done or stops has
// ended. It refuses requests of web pages of other origins; the guard of the status listener refuses
// unknown host names.
func restartHandler(b *bridge.Handler, stops context.Context) http.Handler {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(stops, cancel)()
		rc := http.NewResponseController(w)
		bound := func(t time.Time) { _, _ = rc.SetReadDeadline(t), rc.SetWriteDeadline(t) } // tests use a recorder without deadlines
		bound(time.Time{})                                                                  // a restart may take longer than statusTimeout
		err := b.Application().Restart(ctx)
		bound(time.Now().Add(statusTimeout))
		switch {
		case errors.Is(err, bridge.ErrNotSpawned):
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "restarted\n") // the client may have left
	})
	return http.NewCrossOriginProtection().Handler(h)
}

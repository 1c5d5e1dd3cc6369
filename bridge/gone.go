package bridge

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/sluice-proxy/sluice/bridge/internal/app"
)

// gone has the application told that the client of r is gone, which was held. The request for that counts
// as one in ServeHTTP: Shutdown waits for it, and Close drops it. r may be used.
func (h *Handler) gone(r *http.Request, target string) {
	h.inFlight.Add(1) // before the client's request departs
	h.app.app.Holds.Notices.Add(app.Notice{
		Of: h, Ctx: h.life, Path: r.URL.Path, Done: h.depart,
		Send: func() (int, error) {
			ctx, cancel := context.WithCancelCause(r.Context()) // which has what the front has said of the request
			defer cancel(nil)
			stop := context.AfterFunc(h.life, func() { cancel(context.Cause(h.life)) })
			defer stop()
			return h.tell(r.WithContext(ctx), target)
		},
	})
}

// tell tells the application. A panic of a hook ends nothing else, as with http.Server.
func (h *Handler) tell(r *http.Request, target string) (status int, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	return h.serves.Tell(r, target)
}

// endNotices drops what the application has not been told yet.
func (h *Handler) endNotices() {
	h.end(ErrShutdown)
	if holds := h.app.app.Holds; holds != nil {
		holds.Notices.Leave(h)
	}
}

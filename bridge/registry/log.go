package registry

import (
	"context"
	"log/slog"
	"slices"
)

// logHandler is the slog.Handler of an application. The application outlives the logs of its
// users.
type logHandler struct {
	users   *users
	process func() slog.Handler               // used while there is no user
	derive  []func(slog.Handler) slog.Handler // the calls of WithAttrs and WithGroup, in order
}

// target returns the handler for records now.
func (h *logHandler) target() slog.Handler {
	if u := h.users.latest.Load(); u != nil && u.Log != nil {
		return u.Log
	}
	return h.process()
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.target().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	to := h.target()
	for _, with := range h.derive {
		to = with(to)
	}
	return to.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(to slog.Handler) slog.Handler { return to.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return h.with(func(to slog.Handler) slog.Handler { return to.WithGroup(name) })
}

func (h *logHandler) with(f func(slog.Handler) slog.Handler) slog.Handler {
	return &logHandler{users: h.users, process: h.process, derive: append(slices.Clip(h.derive), f)}
}

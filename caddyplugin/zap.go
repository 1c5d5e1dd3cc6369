package caddyplugin

import (
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
)

// slogOf lets slog write to a zap logger, as Caddy's own Slogger does.
func slogOf(l *zap.Logger) slog.Handler {
	return zapslog.NewHandler(l.Core(), zapslog.WithName(l.Name()), zapslog.AddStacktraceAt(slog.Level(127)))
}

package main

import (
	"log/slog"
	"os"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/logwriter"
)

// errorLog is the log on standard error. Nothing waits for it.
type errorLog struct {
	log   *slog.Logger
	level slog.LevelVar
	out   *logwriter.Writer
}

func openErrorLog(s *config.Server) *errorLog {
	e := new(errorLog)
	e.level.Set(logLevels[s.LogLevel])
	e.out = logwriter.New(noClose{os.Stderr}, logwriter.Events{DropsEnded: func(lines uint64) {
		e.log.Warn("lines of this log were dropped, because nobody took them", "lines", lines, "advice", "see why it was not taken: the lines are lost")
	}})
	options := &slog.HandlerOptions{Level: &e.level}
	if s.LogFormat == config.LogJSON {
		e.log = slog.New(slog.NewJSONHandler(e.out, options))
	} else {
		e.log = slog.New(slog.NewTextHandler(e.out, options))
	}
	return e
}

// close writes the remaining lines. Lines that cannot be written are lost.
func (e *errorLog) close() { e.out.Close(logFlush) }

func (e *errorLog) dropped() uint64 { return e.out.Dropped() }

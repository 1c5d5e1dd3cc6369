package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/logwriter"
)

// errorLog is the log on standard error. Nothing waits for it.
type errorLog struct {
	log *slog.Logger
	out *logwriter.Writer
}

func openErrorLog(o *options) *errorLog {
	e := new(errorLog)
	e.out = logwriter.New(noClose{os.Stderr}, logwriter.Events{DropsEnded: func(lines uint64) {
		e.log.Warn("lines of this log were dropped, because nobody took them", "lines", lines, "advice", "see why it was not taken: the lines are lost")
	}})
	e.log = o.logger(e.out)
	return e
}

func (o *options) logger(w io.Writer) *slog.Logger {
	level := &slog.HandlerOptions{Level: logLevels[o.logLevel]}
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, level))
	}
	return slog.New(slog.NewTextHandler(w, level))
}

// close writes the remaining lines. Lines that cannot be written are lost.
func (e *errorLog) close() { e.out.Close(logFlush) }

func (e *errorLog) dropped() uint64 { return e.out.Dropped() }

package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/logwriter"
)

// errorLog is what goes to standard error. Nobody waits for it.
type errorLog struct {
	log *slog.Logger
	out *logwriter.Writer
}

func openErrorLog(o *options) *errorLog {
	e := new(errorLog)
	e.out = logwriter.New(unclosed{os.Stderr}, logwriter.Events{DropsEnded: func(lines uint64) {
		e.log.Warn("lines of this log were dropped, because nobody took them", "lines", lines)
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

// close writes what is still to be written. Where that is not taken, it is lost, and
// nobody can be told.
func (e *errorLog) close() { e.out.Close(logFlush) }

func (e *errorLog) dropped() uint64 { return e.out.Dropped() }

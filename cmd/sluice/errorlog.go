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

func openErrorLog(format string) *errorLog {
	e := new(errorLog)
	e.out = logwriter.New(unclosed{os.Stderr}, logwriter.Events{Ended: func(lines uint64) {
		e.log.Warn("lines of this log were dropped, because nobody took them", "lines", lines)
	}})
	e.log = newLogger(e.out, format)
	return e
}

func newLogger(w io.Writer, format string) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// close writes what is still to be written. Where that is not taken, it is lost, and
// nobody can be told.
func (e *errorLog) close() { e.out.Close(logFlush) }

func (e *errorLog) dropped() uint64 { return e.out.Dropped() }

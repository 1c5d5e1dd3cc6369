package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
)

// accessLog writes a JSON line per request.
type accessLog struct {
	log  *slog.Logger // nil: off
	file *logFile     // nil if there is none to reopen
}

// openAccessLog opens what --access-log names.
func openAccessLog(to string) (*accessLog, error) {
	switch to {
	case "off":
		return &accessLog{}, nil
	case "-":
		return newAccessLog(os.Stdout), nil
	}
	file := &logFile{path: to}
	if err := file.reopen(); err != nil {
		return nil, fmt.Errorf("--access-log: %w", err)
	}
	a := newAccessLog(file)
	a.file = file
	return a, nil
}

func newAccessLog(w io.Writer) *accessLog {
	return &accessLog{log: slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) == 0 && (attr.Key == slog.LevelKey || attr.Key == slog.MessageKey) {
				return slog.Attr{} // the same on every line
			}
			return attr
		},
	}))}
}

// reopen opens the log's file anew, after it was renamed by log rotation.
func (a *accessLog) reopen() error {
	if a.file == nil {
		return nil
	}
	return a.file.reopen()
}

func (a *accessLog) close() {
	if a.file != nil {
		a.file.close()
	}
}

// observe logs a request that the bridge has dealt with.
func (a *accessLog) observe(r *http.Request, o *bridge.Outcome) {
	if a.log == nil {
		return
	}
	attrs := append(requestAttrs(r, o.Client, o.Status, o.BytesOut),
		slog.Int64("bytes_in", o.BytesIn),
		slog.Float64("total_ms", milliseconds(o.Total)),
		slog.Float64("queued_ms", milliseconds(o.Queued)),
		slog.Float64("first_byte_ms", milliseconds(o.FirstByte)),
		slog.String("instance", o.Instance),
		slog.Bool("reused", o.Reused),
		slog.Int("attempts", o.Attempts),
	)
	if o.User != "" {
		attrs = append(attrs, slog.String("user", o.User))
	}
	if o.Lane != "" {
		attrs = append(attrs, slog.String("lane", o.Lane))
	}
	if o.Flow != 0 {
		attrs = append(attrs, slog.String("flow", admission.FlowName(o.Flow)))
	}
	if o.Refused != "" {
		attrs = append(attrs, slog.String("refused", o.Refused))
	}
	if o.ErrorType != "" {
		attrs = append(attrs, slog.String("error_type", o.ErrorType), slog.Bool("aborted", o.Aborted))
	}
	a.log.LogAttrs(context.Background(), slog.LevelInfo, "", attrs...)
}

// static logs a request that never went to the bridge.
func (a *accessLog) static(r *http.Request, client string, status int, bytes int64) {
	if a.log != nil {
		a.log.LogAttrs(context.Background(), slog.LevelInfo, "", requestAttrs(r, client, status, bytes)...)
	}
}

func requestAttrs(r *http.Request, client string, status int, bytes int64) []slog.Attr {
	return []slog.Attr{
		slog.String("client", client),
		slog.String("method", r.Method),
		slog.String("host", r.Host),
		slog.String("uri", r.RequestURI),
		slog.String("proto", r.Proto),
		slog.Int("status", status),
		slog.Int64("bytes_out", bytes),
		slog.String("referer", r.Referer()),
		slog.String("user_agent", r.UserAgent()),
	}
}

// logFile is a file that can be opened anew while it is written to.
type logFile struct {
	path string

	mu   sync.Mutex
	file *os.File
}

// Write writes one line to the file as it is now.
func (f *logFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Write(p)
}

func (f *logFile) reopen() error {
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	f.mu.Lock()
	old := f.file
	f.file = file
	f.mu.Unlock()
	if old != nil {
		_ = old.Close() // nothing is buffered in it
	}
	return nil
}

func (f *logFile) close() { _ = f.file.Close() } // nothing is buffered in it

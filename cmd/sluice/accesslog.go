package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"

	"github.com/sluice-proxy/sluice/bridge"
)

// accessLog writes a JSON line per request.
type accessLog struct {
	path string // "" if there is no file to reopen
	log  *slog.Logger

	mu   sync.Mutex
	file *os.File
}

// openAccessLog opens what --access-log names.
func openAccessLog(to string) (*accessLog, error) {
	a := &accessLog{}
	switch to {
	case "off":
		a.log = slog.New(slog.DiscardHandler)
		return a, nil
	case "-":
		a.file = os.Stdout
	default:
		a.path = to
		if err := a.reopen(); err != nil {
			return nil, fmt.Errorf("--access-log: %w", err)
		}
	}
	a.log = slog.New(slog.NewJSONHandler(a, &slog.HandlerOptions{ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
		if len(groups) == 0 && (attr.Key == slog.LevelKey || attr.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return attr
	}}))
	return a, nil
}

// Write writes one line to the file as it is now.
func (a *accessLog) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.file.Write(p)
}

// reopen opens the file anew, after it was renamed by log rotation.
func (a *accessLog) reopen() error {
	if a.path == "" {
		return nil
	}
	f, err := os.OpenFile(a.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	a.mu.Lock()
	old := a.file
	a.file = f
	a.mu.Unlock()
	if old != nil {
		_ = old.Close() // nothing is buffered in it
	}
	return nil
}

func (a *accessLog) close() {
	if a.path != "" {
		_ = a.file.Close() // nothing is buffered in it
	}
}

func (a *accessLog) enabled() bool { return a.file != nil }

// observe logs a request that the bridge has dealt with.
func (a *accessLog) observe(r *http.Request, o *bridge.Outcome) {
	if !a.enabled() {
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
	if o.ErrorType != "" {
		attrs = append(attrs, slog.String("error_type", o.ErrorType), slog.Bool("aborted", o.Aborted))
	}
	a.log.LogAttrs(context.Background(), slog.LevelInfo, "", attrs...)
}

// static logs a request for a file.
func (a *accessLog) static(r *http.Request, client string, status int, bytes int64) {
	if a.enabled() {
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

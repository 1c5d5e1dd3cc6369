package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/framing"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/logwriter"
)

// accessLog writes a JSON line per request. Requests never wait for it.
type accessLog struct {
	log  *slog.Logger // nil: off
	path string       // of a file, which may be opened anew; "" if it is none
	out  *logwriter.Writer
	last sync.Mutex // held by who opens the file anew
}

// openAccessLog opens what --access-log names. errors is told when lines are dropped.
func openAccessLog(to string, errors *slog.Logger) (*accessLog, error) {
	if to == "off" {
		return &accessLog{}, nil
	}
	var path string
	var out io.WriteCloser = unclosed{os.Stdout}
	if to != "-" {
		file, err := openLog(to)
		if err != nil {
			return nil, fmt.Errorf("--access-log: %w", err)
		}
		path, out = to, file
	}
	w := logwriter.New(out, logwriter.Events{
		DropsBegan: func(why error) {
			reason := "whoever reads it does not take them"
			if why != nil {
				reason = why.Error()
			}
			errors.Warn("lines of the access log are dropped", "access_log", to, "because", reason)
		},
		DropsEnded: func(lines uint64) {
			errors.Warn("lines of the access log were dropped; it is written again", "access_log", to, "lines", lines)
		},
	})
	a := newAccessLog(w)
	a.path, a.out = path, w
	return a, nil
}

// openLog opens a file to append to. Of a named pipe it opens both ends, so that it
// never waits for a reader, nor fails when that goes and another comes.
func openLog(path string) (*os.File, error) {
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Mode().Type() == os.ModeNamedPipe {
		flags = os.O_RDWR
	}
	return os.OpenFile(path, flags, 0o640)
}

// unclosed is standard output or standard error, which stay open.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

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
	if a.path == "" {
		return nil
	}
	a.last.Lock()
	defer a.last.Unlock()
	file, err := openLog(a.path)
	if err != nil {
		return err
	}
	a.out.Reopen(file)
	return nil
}

// close writes what is still to be written, and returns how many lines were not.
func (a *accessLog) close() (lost uint64) {
	if a.out == nil {
		return 0
	}
	return a.out.Close(logFlush)
}

// logFlush is how long the logs may take to be written to their end.
const logFlush = time.Second

// dropped is how many lines were dropped ever.
func (a *accessLog) dropped() uint64 {
	if a.out == nil {
		return 0
	}
	return a.out.Dropped()
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

// malformed logs a request whose header was refused before anybody read it as a request.
func (a *accessLog) malformed(client net.Addr, err *framing.Error, bytes int) {
	if a.log == nil {
		return
	}
	addr := "unix:"
	if tcp, ok := client.(*net.TCPAddr); ok {
		addr = tcp.AddrPort().Addr().Unmap().WithZone("").String()
	}
	method, rest, _ := strings.Cut(err.Line, " ")
	uri, proto, _ := strings.Cut(rest, " ")
	a.log.LogAttrs(context.Background(), slog.LevelInfo, "",
		slog.String("client", addr),
		slog.String("method", method),
		slog.String("uri", uri),
		slog.String("proto", proto),
		slog.Int("status", err.Status),
		slog.Int("bytes_out", bytes),
		slog.String("error_type", "http_request_error"),
		slog.String("error", err.Reason),
	)
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

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
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/logwriter"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tracing"
	"github.com/sluice-proxy/sluice/internal/framing"
)

// accessLog writes a line per request. Requests never wait for it.
type accessLog struct {
	log       *slog.Logger // nil: off, or not JSON
	text      *textLog     // nil: off, or JSON
	path      string       // the file, which may be reopened; "" if the output is no file
	out       *logwriter.Writer
	reopening sync.Mutex // held while the file is reopened
}

// openAccessLog opens the log for access_log. Dropped lines are logged to errors.
func openAccessLog(to string, format config.AccessFormat, errors *slog.Logger) (*accessLog, error) {
	if to == "off" {
		return &accessLog{}, nil
	}
	var path string
	var out io.WriteCloser = noClose{os.Stdout}
	if to != "-" {
		file, err := openLog(to)
		if err != nil {
			return nil, fmt.Errorf("access_log: %w", err)
		}
		path, out = to, file
	}
	w := logwriter.New(out, logwriter.Events{
		DropsBegan: func(why error) {
			reason := "whoever reads it does not take them"
			if why != nil {
				reason = why.Error()
			}
			errors.Warn("lines of the access log are dropped", "access_log", to, "because", reason, "advice", "see that the disk has room, or that its reader reads")
		},
		DropsEnded: func(lines uint64) {
			errors.Warn("lines of the access log were dropped; it is written again", "access_log", to, "lines", lines, "advice", "see why it was not taken: the lines are lost")
		},
	})
	a := newAccessLog(w, format)
	a.path, a.out = path, w
	return a, nil
}

// openLog opens a file to append to. It opens a named pipe for reading as well, so that opening does
// not wait for a reader, and writing does not fail when the reader changes.
func openLog(path string) (*os.File, error) {
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Mode().Type() == os.ModeNamedPipe {
		flags = os.O_RDWR
	}
	return os.OpenFile(path, flags, 0o640)
}

// noClose is standard output or standard error, which stays open.
type noClose struct{ io.Writer }

func (noClose) Close() error { return nil }

func newAccessLog(w io.Writer, format config.AccessFormat) *accessLog {
	if format != config.AccessJSON {
		return &accessLog{text: &textLog{w, format == config.AccessCombined, time.Now}}
	}
	return &accessLog{log: slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) == 0 && (attr.Key == slog.LevelKey || attr.Key == slog.MessageKey) {
				return slog.Attr{} // equal on every line
			}
			return attr
		},
	}))}
}

// reopen opens the log's file again, after log rotation has renamed it.
func (a *accessLog) reopen() error {
	if a.path == "" {
		return nil
	}
	a.reopening.Lock()
	defer a.reopening.Unlock()
	file, err := openLog(a.path)
	if err != nil {
		return err
	}
	a.out.Reopen(file)
	return nil
}

// close writes the remaining lines, and returns how many could not be written.
func (a *accessLog) close() (lost uint64) {
	if a.out == nil {
		return 0
	}
	return a.out.Close(logFlush)
}

// logFlush is how long writing the remaining lines of a log may take.
const logFlush = time.Second

// dropped returns how many lines have been dropped.
func (a *accessLog) dropped() uint64 {
	if a.out == nil {
		return 0
	}
	return a.out.Dropped()
}

// observe logs a request of the bridge. application is its name; "" if there is but one.
func (a *accessLog) observe(application string, r *http.Request, o *bridge.Outcome) {
	if a.text != nil {
		a.text.write(textLineOf(r, o.Client, o.User, o.Status, o.BytesOut))
	}
	if a.log == nil {
		return
	}
	attrs := append(requestAttrs(r, o.Client, o.Status, o.BytesOut),
		slog.Int64("bytes_in", o.BytesIn),
		slog.Float64("total_ms", milliseconds(o.Total)),
		slog.Float64("upload_ms", milliseconds(o.Upload)),
		slog.Float64("queued_ms", milliseconds(o.Queued)),
		slog.Float64("leasing_ms", milliseconds(o.Leasing)),
		slog.Float64("first_byte_ms", milliseconds(o.FirstByte)),
		slog.Float64("answer_ms", milliseconds(o.Answer)),
		slog.String("instance", o.Instance),
		slog.Bool("reused", o.Reused),
		slog.Int("attempts", o.Attempts),
	)
	if application != "" {
		attrs = append(attrs, slog.String("application", application))
	}
	if o.User != "" {
		attrs = append(attrs, slog.String("user", o.User))
	}
	if o.HeldEnd != "" {
		attrs = append(attrs, slog.Float64("held_ms", milliseconds(o.Held)), slog.String("held_end", o.HeldEnd))
	}
	if o.Authorizer != "" {
		attrs = append(attrs, slog.String("authorizer", string(o.Authorizer)), slog.Float64("authorizer_ms", milliseconds(o.Authorizing)))
	}
	if o.Lane != "" {
		attrs = append(attrs, slog.String("lane", o.Lane))
	}
	if o.ClientKey != 0 {
		attrs = append(attrs, slog.String("client_key", admission.ClientKeyName(o.ClientKey)))
	}
	if id := tracing.TraceID(r.Header.Get("Traceparent")); id != "" {
		attrs = append(attrs, slog.String("trace_id", id))
	}
	if o.Refused != "" {
		attrs = append(attrs, slog.String("refused", string(o.Refused)))
	}
	if o.ErrorType != "" {
		attrs = append(attrs, slog.String("error_type", string(o.ErrorType)), slog.Bool("aborted", o.Aborted))
	}
	a.log.LogAttrs(context.Background(), slog.LevelInfo, "", attrs...)
}

// static logs a request for a static file, which does not reach the bridge.
func (a *accessLog) static(r *http.Request, client string, status int, bytes int64) {
	switch {
	case a.text != nil:
		a.text.write(textLineOf(r, client, "", status, bytes))
	case a.log != nil:
		a.log.LogAttrs(context.Background(), slog.LevelInfo, "", requestAttrs(r, client, status, bytes)...)
	}
}

// malformed logs a request whose header was refused by package framing.
func (a *accessLog) malformed(client net.Addr, err *framing.Error, bytes int) {
	addr := "unix:"
	if tcp, ok := client.(*net.TCPAddr); ok {
		addr = tcp.AddrPort().Addr().Unmap().WithZone("").String()
	}
	if a.text != nil {
		a.text.write(&textLine{client: addr, request: err.Line, status: err.Status, bytes: int64(bytes)})
	}
	if a.log == nil {
		return
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

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
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/logwriter"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tracing"
	"github.com/sluice-proxy/sluice/internal/framing"
)

// accessLog writes a line per request. Requests never wait for it. The zero accessLog is off.
type accessLog struct {
	lines  atomic.Pointer[accessLines] // nil: off
	out    *logwriter.Writer
	errors *slog.Logger

	changing sync.Mutex // held while the file is opened again; guards those below
	to       string     // access_log
	format   config.AccessFormat
}

// accessLines writes lines in one of two formats.
type accessLines struct {
	log  *slog.Logger // nil: not JSON
	text *textLog
}

// openAccessLog opens the log for access_log. Dropped lines are logged to errors.
func openAccessLog(to string, format config.AccessFormat, errors *slog.Logger) (*accessLog, error) {
	a := &accessLog{errors: errors}
	change, err := a.prepare(to, format)
	if err != nil {
		return nil, err
	}
	a.out = logwriter.New(change.out, logwriter.Events{DropsBegan: a.dropsBegan, DropsEnded: a.dropsEnded})
	change.out = nil
	change.commit()
	return a, nil
}

func (a *accessLog) dropsBegan(why error) {
	reason := "whoever reads it does not take them"
	if why != nil {
		reason = why.Error()
	}
	a.errors.Warn("lines of the access log are dropped", "access_log", a.name(), "because", reason, "advice", "see that the disk has room, or that its reader reads")
}

func (a *accessLog) dropsEnded(lines uint64) {
	a.errors.Warn("lines of the access log were dropped; it is written again", "access_log", a.name(), "lines", lines, "advice", "see why it was not taken: the lines are lost")
}

func (a *accessLog) name() string {
	a.changing.Lock()
	defer a.changing.Unlock()
	return a.to
}

// accessChange is another access_log or format, which is committed or cancelled.
type accessChange struct {
	of     *accessLog
	to     string
	format config.AccessFormat
	out    io.WriteCloser // nil: the same as before
}

// prepare opens the file of access_log if it is another one.
func (a *accessLog) prepare(to string, format config.AccessFormat) (*accessChange, error) {
	c := &accessChange{of: a, to: to, format: format}
	if to == a.name() {
		return c, nil
	}
	switch to {
	case "off":
		c.out = noClose{io.Discard}
	case "-":
		c.out = noClose{os.Stdout}
	default:
		file, err := openLog(to)
		if err != nil {
			return nil, fmt.Errorf("access_log: %w", err)
		}
		c.out = file
	}
	return c, nil
}

func (c *accessChange) commit() {
	a := c.of
	a.changing.Lock()
	defer a.changing.Unlock()
	a.to, a.format = c.to, c.format
	var lines *accessLines
	if c.to != "off" {
		lines = newAccessLines(a.out, c.format)
	}
	a.lines.Store(lines)
	if c.out != nil {
		a.out.Reopen(c.out)
	}
}

func (c *accessChange) cancel() {
	if c.out != nil {
		_ = c.out.Close() // nothing was written
	}
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

func newAccessLines(w io.Writer, format config.AccessFormat) *accessLines {
	if format != config.AccessJSON {
		return &accessLines{text: &textLog{w, format == config.AccessCombined, time.Now}}
	}
	return &accessLines{log: slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{
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
	a.changing.Lock()
	defer a.changing.Unlock()
	if a.to == "" || a.to == "-" || a.to == "off" {
		return nil
	}
	file, err := openLog(a.to)
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
	lines := a.lines.Load()
	if lines == nil {
		return
	}
	if lines.text != nil {
		lines.text.write(textLineOf(r, o.Client, o.User, o.Status, o.BytesOut))
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
	if o.Gone {
		attrs = append(attrs, slog.Bool("gone", true))
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
	lines.log.LogAttrs(context.Background(), slog.LevelInfo, "", attrs...)
}

// static logs a request for a static file, which does not reach the bridge.
func (a *accessLog) static(r *http.Request, client string, status int, bytes int64) {
	switch lines := a.lines.Load(); {
	case lines == nil:
	case lines.text != nil:
		lines.text.write(textLineOf(r, client, "", status, bytes))
	default:
		lines.log.LogAttrs(context.Background(), slog.LevelInfo, "", requestAttrs(r, client, status, bytes)...)
	}
}

// malformed logs a request whose header was refused by package framing.
func (a *accessLog) malformed(client net.Addr, err *framing.Error, bytes int) {
	addr := "unix:"
	if tcp, ok := client.(*net.TCPAddr); ok {
		addr = tcp.AddrPort().Addr().Unmap().WithZone("").String()
	}
	lines := a.lines.Load()
	if lines == nil {
		return
	}
	if lines.text != nil {
		lines.text.write(&textLine{client: addr, request: err.Line, status: err.Status, bytes: int64(bytes)})
		return
	}
	method, rest, _ := strings.Cut(err.Line, " ")
	uri, proto, _ := strings.Cut(rest, " ")
	lines.log.LogAttrs(context.Background(), slog.LevelInfo, "",
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

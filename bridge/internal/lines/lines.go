package lines

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"

	"golang.org/x/time/rate"
)

const (
	// MaxLine is the longest line that is logged whole, in bytes.
	MaxLine = 4 << 10

	perSecond = 50  // lines that are logged
	burst     = 500 // lines that may come at once
)

// Log is where lines go. All its sources share one rate.
type Log struct {
	log     *slog.Logger
	message string

	mu      sync.Mutex
	limit   *rate.Limiter
	dropped uint64 // lines since the last one that was logged
	bytes   uint64 // in those lines
}

// NewLog returns a Log whose records have the given message and the line in the
// attribute "line".
func NewLog(log *slog.Logger, message string) *Log {
	return &Log{log: log, message: message, limit: rate.NewLimiter(perSecond, burst)}
}

// Source is one stream of text. It belongs to one goroutine.
type Source struct {
	to    *Log
	attrs [2]slog.Attr // an array, so that a source that stays silent costs nothing
	part  []byte       // of a line whose end has not come; at most MaxLine bytes
	cut   int          // bytes of that line beyond MaxLine
	tee   io.Writer    // gets the text as it comes, too; nil: there is none
}

// Tee has w get all text as it comes, besides the log. It must not block. Nil: nothing does.
func (s *Source) Tee(w io.Writer) { s.tee = w }

// Source returns a source whose lines carry a and b.
func (l *Log) Source(a, b slog.Attr) Source { return Source{to: l, attrs: [2]slog.Attr{a, b}} }

// Write takes text. It does not fail and keeps nothing of p.
func (s *Source) Write(p []byte) (int, error) {
	n := len(p)
	if s.tee != nil {
		_, _ = s.tee.Write(p) // the log has it in any case
	}
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			s.add(p)
			return n, nil
		}
		s.add(p[:i])
		s.End()
		p = p[i+1:]
	}
}

func (s *Source) add(p []byte) {
	n := min(len(p), MaxLine-len(s.part))
	s.part = append(s.part, p[:n]...)
	s.cut += len(p) - n
}

// End ends the current line, if there is one.
func (s *Source) End() {
	if len(s.part) > 0 {
		s.to.line(s)
	}
	s.part, s.cut = s.part[:0], 0
}

func (l *Log) line(s *Source) {
	l.mu.Lock()
	if !l.limit.Allow() {
		l.dropped++
		l.bytes += uint64(len(s.part) + s.cut)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	l.Flush()
	attrs := append([]slog.Attr{slog.String("line", string(bytes.TrimRight(s.part, "\r")))}, s.attrs[:]...)
	if s.cut > 0 {
		attrs = append(attrs, slog.Int("cut_bytes", s.cut))
	}
	l.log.LogAttrs(context.Background(), slog.LevelWarn, l.message, attrs...)
}

// Flush says what was left out since the last line that was logged.
func (l *Log) Flush() {
	l.mu.Lock()
	dropped, n := l.dropped, l.bytes
	l.dropped, l.bytes = 0, 0
	l.mu.Unlock()
	if dropped > 0 {
		l.log.Warn(l.message+": lines left out, there were too many", "lines", dropped, "bytes", n)
	}
}

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
	// MaxLine is the number of bytes from which on a line is cut.
	MaxLine = 4 << 10

	perSecond = 50  // lines that are logged
	burst     = 500 // lines that may arrive at once
)

// Log passes lines to a slog.Logger. Its sources share one rate.
type Log struct {
	log     *slog.Logger
	message string

	mu      sync.Mutex
	limit   *rate.Limiter
	dropped uint64 // lines since the last one that was logged
	bytes   uint64 // bytes of those lines
}

// NewLog returns a Log whose records have the given message and the line in the
// attribute "line".
func NewLog(log *slog.Logger, message string) *Log {
	return &Log{log: log, message: message, limit: rate.NewLimiter(perSecond, burst)}
}

// Source is one stream of text, for use by one goroutine.
type Source struct {
	to      *Log
	attrs   [2]slog.Attr // an array, so that a silent source allocates nothing
	partial []byte       // the beginning of an unfinished line, at most MaxLine bytes
	excess  int          // bytes of that line beyond MaxLine
	tee     io.Writer    // gets the text, too; may be nil
}

// Tee also writes all text that comes from now on to w, which must not block. w may be nil.
func (s *Source) Tee(w io.Writer) { s.tee = w }

// Source returns a source whose lines have the attributes a and b.
func (l *Log) Source(a, b slog.Attr) Source { return Source{to: l, attrs: [2]slog.Attr{a, b}} }

// Write takes text. It never fails, and does not retain p.
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
	n := min(len(p), MaxLine-len(s.partial))
	s.partial = append(s.partial, p[:n]...)
	s.excess += len(p) - n
}

// End ends the current line, if there is one. s may be nil.
func (s *Source) End() {
	if s == nil {
		return
	}
	if len(s.partial) > 0 {
		s.to.line(s)
	}
	s.partial, s.excess = s.partial[:0], 0
}

func (l *Log) line(s *Source) {
	l.mu.Lock()
	if !l.limit.Allow() {
		l.dropped++
		l.bytes += uint64(len(s.partial) + s.excess)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	l.Flush()
	attrs := append([]slog.Attr{slog.String("line", string(bytes.TrimRight(s.partial, "\r")))}, s.attrs[:]...)
	if s.excess > 0 {
		attrs = append(attrs, slog.Int("cut_bytes", s.excess))
	}
	l.log.LogAttrs(context.Background(), slog.LevelWarn, l.message, attrs...)
}

// Flush logs how many lines were dropped since the last line that was logged.
func (l *Log) Flush() {
	l.mu.Lock()
	dropped, n := l.dropped, l.bytes
	l.dropped, l.bytes = 0, 0
	l.mu.Unlock()
	if dropped > 0 {
		l.log.Warn(l.message+": lines left out, there were too many", "lines", dropped, "bytes", n, "advice", "have the application write less, or into a file of its own")
	}
}

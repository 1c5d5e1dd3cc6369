package pool

import (
	"context"
	"log/slog"
)

// entry is one line for the log.
type entry struct {
	level slog.Level
	text  string
	attrs []slog.Attr
}

// journal writes what happens to instances to the log, in order, and never under
// the pool's mutex: a log may be slow. It belongs to that mutex.
type journal struct {
	logger  *slog.Logger
	entries []entry
	writing bool // a goroutine is at it
}

// log has a line written about in.
func (p *Pool) log(in *instance, level slog.Level, text string, attrs ...slog.Attr) {
	j := &p.journal
	if p.closed || j.logger == nil {
		return
	}
	j.entries = append(j.entries, entry{level, text, append(attrs, slog.String("instance", in.Addr))})
	if !j.writing {
		j.writing = true
		p.tasks.Go(p.writeLog)
	}
}

func (p *Pool) writeLog() {
	for {
		p.mu.Lock()
		entries := p.journal.entries
		p.journal.entries = nil
		p.journal.writing = len(entries) > 0
		p.mu.Unlock()
		if len(entries) == 0 {
			return
		}
		for _, e := range entries {
			p.journal.logger.LogAttrs(context.Background(), e.level, e.text, e.attrs...)
		}
	}
}

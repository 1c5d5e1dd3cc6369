package pool

import (
	"context"
	"log/slog"
)

// entry is one line for the log, or a call of Config.OnOutage or OnCapacity.
type entry struct {
	level slog.Level
	text  string
	attrs []slog.Attr
	call  func() // nil: it is a line for the log
}

// journal calls the log, OnOutage and OnCapacity, in order and without the pool's mutex, as all
// of them may be slow. It is guarded by that mutex.
type journal struct {
	logger  *slog.Logger
	entries []entry
	writing bool // a goroutine runs writeLog
}

// log writes a line about in.
func (p *Pool) log(in *instance, level slog.Level, text string, attrs ...slog.Attr) {
	if p.journal.logger != nil {
		p.note(entry{level: level, text: text, attrs: append(attrs, slog.String("instance", in.Addr))})
	}
}

// tell calls Config.OnOutage. err is nil if the outage is over.
func (p *Pool) tell(in *instance, err error) {
	if call := p.config().OnOutage; call != nil {
		p.note(entry{call: func() { call(in.Addr, err) }})
	}
}

// tellCapacity calls Config.OnCapacity.
func (p *Pool) tellCapacity(in *instance) {
	if call := p.config().OnCapacity; call != nil {
		connections, workers := in.observed.now, p.config().Workers
		p.note(entry{call: func() { call(in.Addr, connections, workers) }})
	}
}

func (p *Pool) note(e entry) {
	j := &p.journal
	if p.closed {
		return
	}
	j.entries = append(j.entries, e)
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
			if e.call != nil {
				e.call()
				continue
			}
			p.journal.logger.LogAttrs(context.Background(), e.level, e.text, e.attrs...)
		}
	}
}

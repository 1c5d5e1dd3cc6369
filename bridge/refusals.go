package bridge

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// refusalsEvery is how often the log may say that requests were refused.
const refusalsEvery = 10 * time.Second

// refusals tells the log how many requests were refused: at once of the first, then at
// intervals of all since. There may be thousands.
type refusals struct {
	log *slog.Logger

	mu     sync.Mutex
	counts refusalCounts // since the log was told
	timer  *time.Timer   // runs flush; nil: nothing was refused yet
	quiet  bool          // the timer runs
}

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{log: log, counts: make(refusalCounts)}
}

// refusalCounts is a number for each reason (Outcome.Refused) that there was.
type refusalCounts map[string]uint64

func (c refusalCounts) total() (n uint64) {
	for _, of := range c {
		n += of
	}
	return n
}

// note counts one.
func (l *refusals) note(why string) {
	l.mu.Lock()
	l.counts[why]++
	if l.quiet {
		l.mu.Unlock()
		return
	}
	l.quiet = true
	if l.timer == nil {
		l.timer = time.AfterFunc(refusalsEvery, l.flush)
	} else {
		l.timer.Reset(refusalsEvery)
	}
	counts := l.take()
	l.mu.Unlock()
	l.tell(counts)
}

// flush tells the log what has come together, and is due again if there was anything.
func (l *refusals) flush() {
	l.mu.Lock()
	counts := l.take()
	if l.quiet = counts.total() > 0; l.quiet {
		l.timer.Reset(refusalsEvery)
	}
	l.mu.Unlock()
	l.tell(counts)
}

// close tells the log the rest. Nothing is refused any more.
func (l *refusals) close() {
	l.mu.Lock()
	if l.timer != nil {
		l.timer.Stop()
	}
	counts := l.take()
	l.mu.Unlock()
	l.tell(counts)
}

func (l *refusals) take() (counts refusalCounts) {
	counts, l.counts = l.counts, make(refusalCounts)
	return counts
}

func (l *refusals) tell(counts refusalCounts) {
	n := counts.total()
	if n == 0 {
		return
	}
	attrs := []slog.Attr{slog.Uint64("count", n)}
	for _, why := range slices.Sorted(maps.Keys(counts)) {
		attrs = append(attrs, slog.Uint64(why, counts[why]))
	}
	l.log.LogAttrs(context.Background(), slog.LevelWarn, "requests refused", attrs...)
}

package bridge

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// refusalsEvery is how often the log may say that requests were refused.
const refusalsEvery = 10 * time.Second

// refusals tells the log how many requests the gate has refused: at once of the first,
// then at intervals of all since. There may be thousands.
type refusals struct {
	log *slog.Logger

	mu     sync.Mutex
	counts refusalCounts // since the log was told
	timer  *time.Timer   // runs flush; nil: nothing was refused yet
	quiet  bool          // the timer runs
}

// refusalCounts is a number for each admission.Reason.
type refusalCounts [admission.Stalled + 1]uint64

func (c *refusalCounts) total() (n uint64) {
	for _, of := range c {
		n += of
	}
	return n
}

// note counts one.
func (l *refusals) note(why admission.Reason) {
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
	counts, l.counts = l.counts, counts
	return counts
}

func (l *refusals) tell(counts refusalCounts) {
	n := counts.total()
	if n == 0 {
		return
	}
	attrs := []slog.Attr{slog.Uint64("count", n)}
	for why, of := range counts {
		if of > 0 {
			attrs = append(attrs, slog.Uint64(admission.Reason(why).String(), of))
		}
	}
	l.log.LogAttrs(context.Background(), slog.LevelWarn, "requests refused", attrs...)
}

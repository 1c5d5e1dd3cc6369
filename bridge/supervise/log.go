package supervise

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A log may block, if whoever reads standard error does not. That must hold up neither the
// processes nor their end, so that what a Group has to say is written by a goroutine of its
// own. What does not fit in the meantime is counted.

const (
	// logRoom is how many records wait to be written at most.
	logCapacity = 1000
	// logTime is how long they have at the end.
	logFlushTimeout = time.Second
)

// logQueue writes records, one after the other.
type logQueue struct {
	mu      sync.Mutex
	waiting []logEntry
	lost    int  // records since the last that fitted
	closed  bool // nothing is taken any more

	wake chan struct{} // has something when there may be something to write
	done chan struct{} // closed when all is written, after close
}

type logEntry struct {
	to     slog.Handler
	record slog.Record
}

func newLogQueue() *logQueue {
	return &logQueue{wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// logger returns a Logger whose records the queue writes to another one.
func (q *logQueue) logger(to *slog.Logger) *slog.Logger {
	return slog.New(&queuedHandler{q, to.Handler()})
}

// run writes until close.
func (q *logQueue) run() {
	defer close(q.done)
	for {
		batch, lost, closed := q.take()
		for _, e := range batch {
			_ = e.to.Handle(context.Background(), e.record) // whoever logs cannot be told
		}
		switch {
		case lost > 0:
			r := slog.NewRecord(time.Now(), slog.LevelWarn, "lines of the log are lost: it was not written as fast as it came", 0)
			r.AddAttrs(slog.Int("lines", lost))
			_ = batch[len(batch)-1].to.Handle(context.Background(), r)
		case len(batch) == 0 && closed:
			return
		case len(batch) == 0:
			<-q.wake
		}
	}
}

func (q *logQueue) take() (batch []logEntry, lost int, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch, lost, closed = q.waiting, q.lost, q.closed
	q.waiting, q.lost = nil, 0
	return batch, lost, closed
}

func (q *logQueue) put(e logEntry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
	case len(q.waiting) == logCapacity:
		q.lost++
	default:
		q.waiting = append(q.waiting, e)
		q.wakeUp()
	}
}

func (q *logQueue) wakeUp() {
	select {
	case q.wake <- struct{}{}:
	default: // it will look
	}
}

// close writes what waits, for logTime at most.
func (q *logQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.wakeUp()
	q.mu.Unlock()
	closedWithin(q.done, logFlushTimeout)
}

// queuedHandler is a slog.Handler that does not block.
type queuedHandler struct {
	queue *logQueue
	to    slog.Handler
}

// Enabled implements slog.Handler.
func (h *queuedHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.to.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *queuedHandler) Handle(_ context.Context, r slog.Record) error {
	h.queue.put(logEntry{h.to, r.Clone()})
	return nil
}

// WithAttrs implements slog.Handler.
func (h *queuedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &queuedHandler{h.queue, h.to.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *queuedHandler) WithGroup(name string) slog.Handler {
	return &queuedHandler{h.queue, h.to.WithGroup(name)}
}

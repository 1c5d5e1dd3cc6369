package supervise

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A log may block, if nothing reads standard error. Neither the processes nor their end must
// wait for that: a goroutine writes the records of a Group, and counts those that are lost
// meanwhile.

const (
	// logCapacity is how many records may wait to be written.
	logCapacity = 1000
	// logFlushTimeout is how long close waits for them.
	logFlushTimeout = time.Second
)

// logQueue writes records, one after the other.
type logQueue struct {
	mu      sync.Mutex
	waiting []logEntry
	lost    int  // records since the last one that was taken
	closed  bool // no more records are taken

	wake chan struct{} // holds a value when there may be records to write
	done chan struct{} // closed when run has returned
}

type logEntry struct {
	to     slog.Handler
	record slog.Record
}

func newLogQueue() *logQueue {
	return &logQueue{wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// logger returns a Logger whose records the queue writes to another Logger.
func (q *logQueue) logger(to *slog.Logger) *slog.Logger {
	return slog.New(&queuedHandler{q, to.Handler()})
}

// run writes records until close.
func (q *logQueue) run() {
	defer close(q.done)
	for {
		batch, lost, closed := q.take()
		for _, e := range batch {
			_ = e.to.Handle(context.Background(), e.record) // the caller of the Logger does not wait for the error
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
	default: // run looks anyway
	}
}

// close has the remaining records written, and waits for that for logFlushTimeout at most.
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

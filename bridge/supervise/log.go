package supervise

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A log may block, if nothing reads standard error. Neither the processes nor their end must
// wait for that: an executor writes the records of a Group. Those that do not fit meanwhile are
// counted.

const (
	// logCapacity is how many records may wait to be written.
	logCapacity = 1000
	// logFlushTimeout is how long close waits for them.
	logFlushTimeout = time.Second
)

// logQueue has an executor write records.
type logQueue struct {
	executor *executor

	mu      sync.Mutex
	waiting int // records
	lost    int // records, since the last report
}

func newLogQueue() *logQueue { return &logQueue{executor: newExecutor()} }

// logger returns a Logger whose records the queue writes to another Logger.
func (q *logQueue) logger(to *slog.Logger) *slog.Logger {
	return slog.New(&queuedHandler{q, to.Handler()})
}

// put has a record written or, if too many wait, counted.
func (q *logQueue) put(to slog.Handler, r slog.Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting == logCapacity {
		if q.lost++; q.lost == 1 {
			q.executor.do(func() { q.reportLost(to) })
		}
		return
	}
	q.waiting++
	q.executor.do(func() {
		q.mu.Lock()
		q.waiting--
		q.mu.Unlock()
		_ = to.Handle(context.Background(), r) // the caller of the Logger does not wait for the error
	})
}

func (q *logQueue) reportLost(to slog.Handler) {
	q.mu.Lock()
	lost := q.lost
	q.lost = 0
	q.mu.Unlock()
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "lines of the log are lost: it was not written as fast as it came", 0)
	r.AddAttrs(slog.Int("lines", lost), slog.String("advice", "see why the log is written so slowly"))
	_ = to.Handle(context.Background(), r)
}

// close has the waiting records written, and waits for that for logFlushTimeout at most.
func (q *logQueue) close() { q.executor.close(logFlushTimeout) }

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
	h.queue.put(h.to, r.Clone())
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

package supervise

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stalledHandler blocks until free is closed.
type stalledHandler struct {
	slog.Handler
	free <-chan struct{}
}

func (h stalledHandler) Handle(ctx context.Context, r slog.Record) error {
	<-h.free
	return h.Handler.Handle(ctx, r)
}

func (h stalledHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return stalledHandler{h.Handler.WithAttrs(attrs), h.free}
}

// Logging does not wait for the log. Records that do not fit are counted, others are written in
// order, with their own times.
func TestLogQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		free := make(chan struct{})
		q := newLogQueue()
		go q.executor.run()
		log := q.logger(slog.New(stalledHandler{slog.NewTextHandler(&text, nil), free})).With("command", "app")
		log.Info("first")
		synctest.Wait() // until it is being written
		begun := time.Now()
		for i := range logCapacity + 7 {
			log.Info("another", "n", i)
		}
		log.Debug("below the level")
		if d := time.Since(begun); d != 0 {
			t.Errorf("it took %v", d)
		}
		time.Sleep(time.Hour)
		close(free)
		synctest.Wait()
		q.close()
		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		if len(lines) != 1+logCapacity+1 || !strings.Contains(lines[logCapacity], "n=999") || !strings.Contains(lines[logCapacity+1], " lines=7 ") {
			t.Errorf("%d lines, the last are %q", len(lines), lines[max(0, len(lines)-2):])
		}
		if !strings.HasPrefix(lines[0], "time=2000-01-01T00:00:00") || !strings.Contains(lines[0], "msg=first command=app") {
			t.Errorf("the first is %q", lines[0])
		}
		log.Info("too late")
	})
}

// close does not wait for a log that blocks forever.
func TestLogQueueIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		q := newLogQueue()
		go q.executor.run()
		q.logger(slog.New(stalledHandler{slog.NewTextHandler(io.Discard, nil), free})).Info("never written")
		begun := time.Now()
		if q.close(); time.Since(begun) != logFlushTimeout {
			t.Errorf("it took %v", time.Since(begun))
		}
		close(free)
	})
}

// Several goroutines may log at once.
func TestLogQueueTogether(t *testing.T) {
	var text bytes.Buffer
	q := newLogQueue()
	go q.executor.run()
	log := q.logger(slog.New(slog.NewTextHandler(&text, nil)))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				log.Info("a line")
			}
		})
	}
	wg.Wait()
	q.close()
	if n := strings.Count(text.String(), "\n"); n != 400 {
		t.Errorf("%d lines", n)
	}
}

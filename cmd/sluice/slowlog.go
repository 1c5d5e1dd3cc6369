package main

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/sluice-proxy/sluice/bridge"
)

// slowLog tells the log of requests that have taken long, and what they have waited for.
type slowLog struct {
	after atomic.Int64 // a time.Duration; 0: off
	log   *slog.Logger
	allow *rate.Limiter
	left  atomic.Uint64 // lines that were not written since the last one
}

// slowLines bounds the lines: an overloaded application makes every request slow.
const (
	slowLinesPerSecond = 10
	slowLinesBurst     = 100
)

func newSlowLog(log *slog.Logger) *slowLog {
	return &slowLog{log: log, allow: rate.NewLimiter(slowLinesPerSecond, slowLinesBurst)}
}

// observe logs a request of the bridge if it was slow. One that was known to take long is not:
// long-polls and event streams are as they should be.
func (s *slowLog) observe(r *http.Request, o *bridge.Outcome) {
	if after := time.Duration(s.after.Load()); after == 0 || o.Total < after || o.LongPoll {
		return
	}
	if !s.allow.Allow() {
		s.left.Add(1)
		return
	}
	longest := slowest(o)
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", o.Status), slog.String("lane", o.Lane),
		slog.Float64("total_ms", milliseconds(o.Total)), slog.String("waited_for", longest.name),
	}
	for _, w := range waits(o) {
		attrs = append(attrs, slog.Float64(w.key, milliseconds(w.took)))
	}
	attrs = append(attrs, slog.String("instance", o.Instance), slog.Int("attempts", o.Attempts), slog.String("client", o.Client))
	if n := s.left.Swap(0); n > 0 {
		attrs = append(attrs, slog.Uint64("left_out", n))
	}
	s.log.LogAttrs(context.Background(), slog.LevelWarn, "slow request", append(attrs, slog.String("advice", longest.advice))...)
}

// wait is a step of a request that may take long.
type wait struct {
	key, name, advice string
	took              time.Duration
}

// waits are the steps of a request, in their order.
func waits(o *bridge.Outcome) [7]wait {
	w := [7]wait{
		{"upload_ms", "the client's body", "nothing: the client sends slowly, and holds no worker", o.Upload},
		{"authorizer_ms", "the authorizer", "see why the authorizer is slow, and whether it has enough workers", o.Authorizing},
		{"queue_ms", "a worker", "see what holds the workers (sluice status); if the application could do more, give it more workers and raise --workers", o.Queued - o.Leasing},
		{"connection_ms", "a connection", "see whether the application accepts: accept_queue and last_error in /status.json", o.Leasing},
		{"first_byte_ms", "the first byte", "see what the application does: its database, a lock, another server that it asks", o.FirstByte},
		{"answer_ms", "the rest of the answer", "see what the application does while it writes; an event stream belongs in --long-poll", o.Answer},
		{"client_ms", "the client", "nothing: the client takes its answer slowly, and holds no worker", o.Total},
	}
	client := &w[len(w)-1].took
	for _, before := range w[:len(w)-1] {
		*client -= before.took
	}
	*client = max(*client, 0)
	return w
}

func slowest(o *bridge.Outcome) (longest wait) {
	for _, w := range waits(o) {
		if w.took > longest.took {
			longest = w
		}
	}
	return longest
}

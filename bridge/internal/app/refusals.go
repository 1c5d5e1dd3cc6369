package app

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// RefusalsEvery is how often the log may say that requests were refused.
const RefusalsEvery = 10 * time.Second

// refusals tells the log how many requests were refused, and who has sent most of them: at
// once of the first, then at intervals of all since. There may be thousands.
type refusals struct {
	log *slog.Logger

	mu    sync.Mutex
	since *refused    // the log was told
	timer *time.Timer // runs flush; nil: nothing was refused yet
	quiet bool        // the timer runs
}

func newRefusals(log *slog.Logger) *refusals { return &refusals{log: log, since: newRefused()} }

// refused are requests that were: how many for each reason (Outcome.Refused), and how many
// of each client that has sent many.
type refused struct {
	total   uint64
	reasons map[string]uint64
	clients map[string]uint64
}

// manyClients is how many clients are counted. When there are more, all lose one: whoever
// has sent more than one in so many of all requests remains (Misra and Gries, 1982), with a
// number that is not too high.
const manyClients = 32

func newRefused() *refused {
	return &refused{reasons: make(map[string]uint64), clients: make(map[string]uint64)}
}

func (r *refused) add(why, client string) {
	r.total++
	r.reasons[why]++
	if _, known := r.clients[client]; known || len(r.clients) < manyClients {
		r.clients[client]++
		return
	}
	for c := range r.clients {
		if r.clients[c]--; r.clients[c] == 0 {
			delete(r.clients, c)
		}
	}
}

// most is the client that has sent at least half of them, if they are enough to speak of.
func (r *refused) most() (client string, n uint64) {
	const enough = 20
	for c, of := range r.clients {
		if of > n {
			client, n = c, of
		}
	}
	if r.total < enough || 2*n < r.total {
		return "", 0
	}
	return client, n
}

// note counts one.
func (l *refusals) note(why, client string) {
	l.mu.Lock()
	l.since.add(why, client)
	if l.quiet {
		l.mu.Unlock()
		return
	}
	l.quiet = true
	if l.timer == nil {
		l.timer = time.AfterFunc(RefusalsEvery, l.flush)
	} else {
		l.timer.Reset(RefusalsEvery)
	}
	since := l.take()
	l.mu.Unlock()
	l.tell(since)
}

// flush tells the log what has come together, and is due again if there was anything.
func (l *refusals) flush() {
	l.mu.Lock()
	since := l.take()
	if l.quiet = since.total > 0; l.quiet {
		l.timer.Reset(RefusalsEvery)
	}
	l.mu.Unlock()
	l.tell(since)
}

// close tells the log the rest. Nothing is refused any more.
func (l *refusals) close() {
	l.mu.Lock()
	if l.timer != nil {
		l.timer.Stop()
	}
	since := l.take()
	l.mu.Unlock()
	l.tell(since)
}

func (l *refusals) take() (since *refused) {
	since, l.since = l.since, newRefused()
	return since
}

func (l *refusals) tell(r *refused) {
	if r.total == 0 {
		return
	}
	attrs := []slog.Attr{slog.Uint64("count", r.total)}
	for _, why := range slices.Sorted(maps.Keys(r.reasons)) {
		attrs = append(attrs, slog.Uint64(why, r.reasons[why]))
	}
	if client, n := r.most(); n > 0 {
		attrs = append(attrs, slog.String("most_from", client), slog.Uint64("from_there", n),
			slog.String("remedy", "if many people come from that address, it is a proxy: add --trusted-proxy "+client+" (trusted_proxies), or they are taken for one"))
	}
	l.log.LogAttrs(context.Background(), slog.LevelWarn, "requests refused", append(attrs,
		slog.String("advice", "see what holds the workers (sluice status, /status.json); docs/admission.md has the reasons"))...)
}

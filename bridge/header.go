package bridge

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// adopt makes what the application's header says the client's.
func (x *exchange) adopt() {
	x.parsed = true
	h := x.w.Header()
	for name, values := range x.said {
		if before := h[name]; len(before) > 0 && !cgi.IsSingle(name) {
			values = slices.Concat(before, values) // the front's, and the application's
		}
		h[name] = values
	}
}

// interim deals with an interim header: Early Hints (RFC 8297) are the client's, and the
// others are between the application and whoever passes its answer on. The application
// has said something, and has as long as before to go on.
func (x *exchange) interim(status int) {
	x.interimAt = time.Now()
	if status != http.StatusEarlyHints || !x.r.ProtoAtLeast(1, 1) || !canFlush(x.w) {
		return
	}
	x.dropSendfile()
	h := x.w.Header()
	own := maps.Clone(h)
	clear(h)
	maps.Copy(h, x.said)
	rc := http.NewResponseController(x.w)
	_ = rc.SetWriteDeadline(time.Now().Add(interimWithin)) // unsupported: the front bounds writes, or nobody does
	x.w.WriteHeader(status)
	_ = rc.SetWriteDeadline(time.Time{})
	clear(h)
	maps.Copy(h, own)
}

// interimWithin is how long the client may take to take an interim header, while the
// application's worker is taken: one that reads at all has room for it.
const interimWithin = time.Second

// canFlush reports whether w sends what it is given at once. One that collects an answer
// (http.TimeoutHandler's) takes an interim status for the final one.
func canFlush(w http.ResponseWriter) bool {
	for {
		switch v := w.(type) {
		case interface{ FlushError() error }, http.Flusher:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return false
		}
	}
}

// logHeader tells the log what was left out of a header or corrected in it.
func (b *Bridge) logHeader(path, instance, what string) {
	if b.headerNotices.due(what, time.Now()) {
		b.cfg.Logger.Warn("the application's response header is not as it should be; the same is logged once a minute at most",
			"header", what, "path", path, "instance", instance)
	}
}

// headerNotices are what the log was told of headers. Whoever writes one that is wrong does
// so in every answer.
type headerNotices struct {
	mu   sync.Mutex
	told map[string]time.Time
}

const (
	noticeEvery = time.Minute
	noticesMax  = 64 // different ones that are told within that time
)

// due reports whether the log is to be told now.
func (n *headerNotices) due(what string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at, told := n.told[what]; told && now.Sub(at) < noticeEvery {
		return false
	}
	if len(n.told) >= noticesMax {
		maps.DeleteFunc(n.told, func(_ string, at time.Time) bool { return now.Sub(at) >= noticeEvery })
	}
	if len(n.told) >= noticesMax {
		return false
	}
	if n.told == nil {
		n.told = make(map[string]time.Time)
	}
	n.told[what] = now
	return true
}

package connlimit

import (
	"slices"
	"strings"
	"time"
)

// report is the state of the log lines about closed connections.
type report struct {
	last     time.Time // when the last line was written
	counts   Snapshot  // the counters at that time
	client   string    // whose connection was closed last, "" if none was since
	has      int       // how many connections that client had
	accepted time.Time // when the last line about failing accepts was written
}

// reportPause is the least time between two log lines.
const reportPause = 10 * time.Second

// add notes the client whose connection is closed.
func (r *report) add(c *client) { r.client, r.has = c.name(), c.conns }

// logClosed logs the connections closed since the last line, at most every reportPause.
func (l *Limit) logClosed() {
	now := time.Now()
	l.mu.Lock()
	was, is := l.report, l.counts
	if was.client == "" || now.Sub(was.last) < reportPause {
		l.mu.Unlock()
		return
	}
	l.report = report{last: now, counts: is, accepted: was.accepted}
	clients, most := len(l.clients.byAddr), l.config.Max
	listeners := slices.Clone(l.listeners)
	l.mu.Unlock()
	var at []string
	for _, ln := range listeners {
		at = append(at, ln.Addr().String())
	}
	l.config.Logger.Warn("there are as many client connections as there may be; some are closed for others",
		"listen", strings.Join(at, ", "), "max_connections", most, "clients", clients,
		"closed_without_request", is.ClosedIdle-was.counts.ClosedIdle, "cut_with_request", is.CutActive-was.counts.CutActive,
		"refused", is.Refused-was.counts.Refused, "last_client", was.client, "has", was.has, "advice", "raise --max-connections and the limit of open files, unless one client has most of them")
}

// acceptFailed counts and logs a failed accept. If no descriptor was left, it closes an idle
// connection.
func (l *Limit) acceptFailed(listen string, err error) {
	now := time.Now()
	l.mu.Lock()
	l.counts.AcceptErrors++
	say := now.Sub(l.report.accepted) >= reportPause
	if say {
		l.report.accepted = now
	}
	var e *entry
	if outOfFiles(err) {
		if e = l.idle.oldest(); e != nil {
			l.counts.ClosedIdle++
			l.remove(e)
			l.promote()
		}
	}
	l.mu.Unlock()
	if say {
		l.config.Logger.Error("accepting connections fails; it is tried again", "listen", listen, "error", err.Error(), "advice", "raise the limit of open files, if that is the error")
	}
	if e != nil {
		_ = e.conn.Close() // it is removed in any case
	}
}

package connlimit

import "time"

// report is what the log was not told yet.
type report struct {
	last     time.Time // when it was told
	counts   Snapshot  // what had been counted then
	client   string    // whose connection went last, "" if none did since
	has      int       // how many that had
	accepted time.Time // when it was told that accepting fails
}

// reportPause is how long the log is not told of more.
const reportPause = 10 * time.Second

// of notes whose connection has to go.
func (r *report) of(c *client) { r.client, r.has = c.name(), c.conns }

// tell tells the log what had to go, unless it was told just now.
func (l *Limit) tell() {
	now := time.Now()
	l.mu.Lock()
	was, is := l.report, l.counts
	if was.client == "" || now.Sub(was.last) < reportPause {
		l.mu.Unlock()
		return
	}
	l.report = report{last: now, counts: is, accepted: was.accepted}
	clients := len(l.clients.byAddr)
	l.mu.Unlock()
	l.config.Logger.Warn("there are as many client connections as there may be; some are closed for others",
		"listen", l.listen, "max_connections", l.config.Max, "clients", clients,
		"closed_without_request", is.ClosedIdle-was.counts.ClosedIdle, "cut_with_request", is.CutActive-was.counts.CutActive,
		"refused", is.Refused-was.counts.Refused, "last_client", was.client, "has", was.has)
}

// failed notes that accepting failed. If there were no descriptors left, an idle
// connection gives up its own.
func (l *Limit) failed(err error) {
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
		l.config.Logger.Error("accepting connections fails; it is tried again", "listen", l.listen, "error", err.Error())
	}
	if e != nil {
		_ = e.conn.Close() // it is gone either way
	}
}

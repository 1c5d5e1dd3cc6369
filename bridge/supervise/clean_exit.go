package supervise

import (
	"log/slog"
	"time"
)

// A clean exit is that of a child which has served, and then ended by itself with status 0:
// it has done what it was to do. gitweb ends so after an error page, CGI::Fast and PHP after
// a number of requests, others after each. It is no sign that anything is wrong: the next
// child is started at once, and neither the budget nor the storm hears of it.

// isClean reports whether an exit whose Served is known is clean.
func (e *Exit) isClean() bool {
	return e.Served && e.Status == 0 && e.Signal == "" && e.Err == "" && e.Cause == ""
}

// cleanExits tells of clean exits, once a minute at most.
type cleanExits struct {
	logged    time.Time
	notLogged int // since then
}

// tell tells of a clean exit.
func (c *cleanExits) log(sup *supervisor, in *instance, e *Exit, now time.Time) {
	level, attrs := slog.LevelInfo, []any{
		"exit", e.how(), "instance", in.socket.Addr, "pid", e.PID, "lived", e.Lived.Round(time.Millisecond),
		"answered", in.stats.Load().answers.Load(), "state", in.machine.state.String(),
	}
	if pause := in.machine.next.Sub(e.Time); in.machine.state == Waiting && pause > 0 {
		level = slog.LevelWarn // cleanRate is reached
		attrs = append(attrs, "next_in", pause.Round(time.Millisecond))
	}
	if len(e.InFlight) > 0 { // on a kept connection, perhaps, that it was about to close
		attrs = append(attrs, slog.Any("in_flight", requests(e.InFlight)))
	}
	if !c.logged.IsZero() && now.Sub(c.logged) < time.Minute {
		c.notLogged++
		return
	}
	if c.notLogged > 0 {
		attrs = append(attrs, "not_told_of", c.notLogged)
	}
	c.logged, c.notLogged = now, 0
	sup.log.Log(sup.ctx, level, "the command has ended by itself, without an error", attrs...)
}

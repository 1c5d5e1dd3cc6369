package supervise

import (
	"log/slog"
	"time"

	"golang.org/x/time/rate"
)

// cleanExits logs clean exits, one a minute at most. The next child is started at once, and
// neither the budget nor the crash loop counts them.
type cleanExits struct {
	limit     *rate.Limiter
	notLogged int // since the last one that was logged
}

// log logs a clean exit.
func (c *cleanExits) log(sup *supervisor, in *instance, e *Exit, now time.Time) {
	if !c.limit.AllowN(now, 1) {
		c.notLogged++
		return
	}
	level, attrs := slog.LevelInfo, []any{
		"exit", e.how(), "instance", in.socket.Addr, "pid", e.PID, "lived", e.Lived.Round(time.Millisecond),
		"answered", in.stats.Load().answers.Load(), "state", in.machine.state.String(),
	}
	if pause := in.machine.next.Sub(e.Time); in.machine.state == stateWaiting && pause > 0 {
		level = slog.LevelWarn // more than cleanRate
		attrs = append(attrs, "next_in", pause.Round(time.Millisecond), "advice", "let the command serve more requests before it ends")
	}
	if len(e.InFlight) > 0 { // perhaps on a kept connection that the child was about to close
		attrs = append(attrs, slog.Any("in_flight", requests(e.InFlight)))
	}
	if c.notLogged > 0 {
		attrs = append(attrs, "not_logged", c.notLogged)
	}
	c.notLogged = 0
	sup.log.Log(sup.ctx, level, "the command has ended by itself, without an error", attrs...)
}

package exchange

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/lines"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Abandoned is a request whose answer nobody waits for any more, while the application is at
// work. The worker stays charged until it has finished. An application that had begun its
// answer is cut off as soon as it says more: one that finds its connection closed when it
// writes stops, and a silent one runs on. On a shared connection, which cannot be closed for
// that, it is asked to stop.
type Abandoned struct {
	hold     *Hold
	begun    bool // the answer had begun
	deadline time.Time
	stderr   lines.Source
}

// Abandon begins the wait. The driver owns the Abandoned, and calls Release when Happened has
// reported the end.
func (s *Site) Abandon(h *Hold) *Abandoned {
	if !h.given { // else the application may have something left to do
		h.lease.MarkAbandoned()
	}
	h.ticket.Abandoned()
	return &Abandoned{
		hold: h, begun: h.lease.Spoke(),
		deadline: time.Now().Add(time.Duration(s.Config.Timeouts.Abandoned)),
		stderr:   h.app.Stderr("", h.lease.Addr()),
	}
}

// Until is how long to wait for the next event.
func (a *Abandoned) Until() time.Time { return a.deadline }

// Happened reports what the wait has brought, and returns whether it was the last one.
func (a *Abandoned) Happened(ev upstream.Event, err error) (over bool) {
	h := a.hold
	h.note(ev, err)
	switch {
	case err != nil:
		return true
	case ev.Kind == upstream.End:
		if !a.begun {
			h.answered()
		}
		return true
	case a.begun && ev.Kind == upstream.Output && len(ev.Data) > 0:
		if h.surplus != nil {
			h.surplus()
			h.surplus = nil
		}
		if !h.lease.Shared() {
			return true
		}
		h.lease.MarkAbandoned()
	case ev.Kind == upstream.Log:
		_, _ = a.stderr.Write(ev.Data)
	}
	return false
}

// Release gives the worker back.
func (a *Abandoned) Release() {
	a.stderr.End()
	a.hold.release()
}

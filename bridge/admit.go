package bridge

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// identify finds out who asks, and whether that one may.
func (x *exchange) identify() error {
	b := x.b
	if b.plain && b.sharing == nil {
		return nil // nobody asks
	}
	x.ask.Flow, x.ask.Shared = b.flows.of(x.r, &x.client)
	x.out.Flow = x.ask.Flow
	switch {
	case x.ask.Flow == 0:
	case x.ask.Shared:
		x.ask.Client = x.ask.Flow
	default:
		x.ask.Client = b.flows.address(x.client.Addr)
	}
	if b.sharing == nil || x.ask.Shared || x.ask.Flow == 0 {
		return nil
	}
	address := b.flows.address(x.client.Addr)
	tell, err := b.sharing.admit(x.ask.Flow, address, time.Now())
	if tell {
		b.cfg.Logger.Warn("an account is used from more addresses than flow.max_addresses",
			"flow", admission.FlowName(x.ask.Flow), "max_addresses", b.cfg.Flow.MaxAddresses, "per", time.Duration(b.cfg.Flow.Per), "excess", b.cfg.Flow.Excess)
	}
	return err
}

// admit waits for a worker. It returns until when the request may wait for a
// connection: a short one has queue.timeout for both, from queued on; a long one, which
// may have waited for longer already, has it anew.
func (x *exchange) admit(queued time.Time) (deadline time.Time, err error) {
	if err := x.available(); err != nil {
		return time.Time{}, err
	}
	x.b.want() // now: its body may have come for long
	x.track()
	if x.held.ticket, err = x.b.gate.Acquire(x.r.Context(), &x.ask); err != nil {
		return time.Time{}, x.notServed(err)
	}
	lane := x.held.ticket.Lane()
	x.out.Lane = lane.String()
	timeout, now := x.b.patience(), time.Now()
	if lane == admission.Mixed || lane == admission.Long || now.Sub(queued) > timeout {
		queued = now
	}
	return queued.Add(timeout), nil
}

// patience is how long a short request may wait for a worker and a connection.
func (b *backend) patience() time.Duration { return time.Duration(b.settings.Load().Queue.Timeout) }

// describe says what is asked for. A local redirect asks for something else.
func (x *exchange) describe() {
	x.ask.Method, x.ask.Path = methodName(x.r.Method), ""
	plain := x.b.plain
	if plain && x.b.processes == nil {
		return // nobody learns of routes
	}
	accepts := acceptClass(x.r.Header)
	route, at := appendRoute(append(x.route[:0], x.b.site...), x.r, accepts, x.b.mount)
	x.route, x.ask.Route = route, string(route)
	x.ask.Group = x.ask.Route[:at.group]
	x.ask.Path = x.ask.Route[at.path:at.query] // it is shown
	if plain {
		return
	}
	// The operator or the client says that it is answered late.
	x.ask.Long = x.b.isPoll(x.r) || accepts == acceptsStream || prefersToWait(x.r.Header["Prefer"])
}

// isPoll reports whether r is for a path that SiteConfig.LongPoll lists, whole or below the
// mount.
func (b *Bridge) isPoll(r *http.Request) bool {
	path := r.URL.Path
	below, mounted := strings.CutPrefix(path, b.mount)
	mounted = mounted && b.mount != "" && strings.HasPrefix(below, "/")
	return slices.ContainsFunc(b.cfg.LongPoll, func(pattern string) bool {
		return matches(pattern, path) || mounted && matches(pattern, below)
	})
}

// prefersToWait looks for wait= (RFC 7240, section 4.3).
func prefersToWait(prefer []string) bool {
	for _, line := range prefer {
		for line != "" {
			var preference string
			preference, line, _ = strings.Cut(line, ",")
			preference, _, _ = strings.Cut(preference, ";")
			name, value, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			seconds, err := strconv.ParseUint(strings.Trim(value, " \t\""), 10, 32)
			return err == nil && seconds > 0
		}
	}
	return false
}

// isEventStream reports whether an answer is one.
func isEventStream(h http.Header) bool {
	v := h["Content-Type"]
	if len(v) == 0 {
		return false
	}
	mediaType, _, _ := strings.Cut(v[0], ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream")
}

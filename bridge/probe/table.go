package probe

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Row is one line of a report in text.
type Row struct{ Name, Text string }

// Rows returns the report as lines.
func (r *Report) Rows() []Row {
	rows := []Row{
		{"address", r.Address},
		{"protocol", "FastCGI"},
		{"first answer", r.Answer.String()},
	}
	if r.Answer.Note != "" {
		rows = append(rows, Row{"", r.Answer.Note})
	}
	if r.Answer.Stderr != "" {
		rows = append(rows, Row{"", fmt.Sprintf("on STDERR: %q", r.Answer.Stderr)})
	}
	rows = append(rows, Row{"process", r.ownersText()}, Row{"accept queue", r.queueText()})
	for _, name := range valueNames {
		rows = append(rows, Row{name, r.valueText(name)})
	}
	return append(
		rows,
		Row{"after GET_VALUES", r.afterValuesText()},
		Row{"keep-alive", r.keepAliveText()},
		Row{"without keep-alive", r.closeText()},
		Row{"multiplexing", r.multiplexText()},
		Row{"capacity", r.capacityText()},
		Row{"idle connections", r.idleText()},
		Row{"took", fmt.Sprintf("%.1f s", r.TookMS/1000)},
	)
}

func (a Answer) String() string {
	status := "without a status"
	if a.Status != 0 {
		status = fmt.Sprintf("status %d", a.Status)
	}
	kind := plain(a.ContentType)
	if kind == "" {
		kind = "no content type"
	}
	return fmt.Sprintf("%s, %s, %d bytes, after %.1f ms", status, kind, a.Bytes, a.TookMS)
}

func (f Fact[T]) or(text string) string {
	if f.Known {
		return text
	}
	return "not known: " + f.Reason
}

// ownersText names each program once: all processes of PHP-FPM hold the socket.
func (r *Report) ownersText() string {
	var parts []string
	type program struct{ command, user string }
	pids, threads := make(map[program][]int), make(map[program]int)
	var order []program
	for _, o := range r.Owners.Value {
		p := program{o.Command, o.User}
		if pids[p] == nil {
			order = append(order, p)
		}
		pids[p], threads[p] = append(pids[p], o.PID), o.Threads
	}
	for _, p := range order {
		text := fmt.Sprintf("%s, process %d", plain(p.command), pids[p][0])
		if n := len(pids[p]); n > 1 {
			text += fmt.Sprintf(" and %d more", n-1)
		} else if threads[p] > 1 {
			text += fmt.Sprintf(" (%d threads)", threads[p])
		}
		parts = append(parts, text+", user "+p.user)
	}
	text := strings.Join(parts, "; ")
	if r.Owners.Known && r.Owners.Reason != "" {
		text += "; there may be more: " + r.Owners.Reason
	}
	return r.Owners.or(text)
}

func (r *Report) queueText() string {
	q := r.Queue.Value
	return r.Queue.or(fmt.Sprintf("%d waiting before the probe, backlog %d", q.Depth, q.Backlog))
}

func (r *Report) valueText(name string) string {
	v := r.Values[name]
	if v.Known && v.Value == "" {
		return "no value"
	}
	return v.or(plain(v.Value))
}

func (r *Report) afterValuesText() string {
	if r.AfterValues.Value {
		return "a request on the same connection is answered"
	}
	return r.AfterValues.or("a request on the same connection is not answered")
}

func (r *Report) keepAliveText() string {
	switch r.KeepAlive.Value {
	case Kept:
		return "honoured: the connection takes further requests"
	case Closed:
		return "not honoured: it closes the connection after its answer"
	case Stalled:
		return "stalls: a request on a kept connection is not answered, or no other connection is accepted (libfcgi, with a lock around accept, or one thread that accepts for all). Sluice detects that"
	}
	return r.KeepAlive.or("")
}

func (r *Report) closeText() string {
	switch r.Close.Value {
	case CloseBoth:
		return "it closes the connection"
	case CloseHalf:
		return "it closes its sending side and waits until the peer closes"
	case CloseNot:
		return "it leaves the connection open"
	}
	return r.Close.or("")
}

func (r *Report) multiplexText() string {
	switch r.Multiplex.Value {
	case MultiplexWorks:
		return "works: a second request was answered while the first was unfinished"
	case MultiplexSerial:
		return "serial: a second request waits for the first"
	case MultiplexRefused:
		return "refused with CANT_MPX_CONN, although " + r.multiplexClaim()
	case MultiplexLost:
		return "broken: of two requests one was never answered"
	}
	return r.Multiplex.or("")
}

func (r *Report) capacityText() string {
	c := r.Capacity.Value
	var text string
	switch c.Full {
	case FullCloses:
		text = fmt.Sprintf("%s; one more it accepts and closes at once", connections(c.Connections))
	case FullWaits:
		text = fmt.Sprintf("%s; one more is not answered until another closes", connections(c.Connections))
		if c.Queued.Known {
			text += fmt.Sprintf(" (accept queue then: %d)", c.Queued.Value)
		}
	case FullOverloaded:
		text = fmt.Sprintf("%s; on one more it answers OVERLOADED", connections(c.Connections))
	case FullNotSeen:
		text = fmt.Sprintf("no limit seen up to %s", connections(c.Connections))
	}
	if c.Dropped > 0 {
		text += fmt.Sprintf("; it closed %d others after an answer", c.Dropped)
	}
	return r.Capacity.or(text)
}

// idleText says whether idle kept connections occupy workers.
func (r *Report) idleText() string {
	switch r.Capacity.Value.Full {
	case FullCloses, FullWaits, FullOverloaded:
		return "each occupies a worker while it is kept"
	case FullNotSeen:
		return "occupy no worker that others would miss"
	}
	return r.Capacity.or("")
}

// plain quotes a text that holds control characters.
func plain(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}

package probe

import (
	"fmt"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// Settings are those of Sluice that depend on what the application does. Zero
// values say nothing.
type Settings struct {
	Workers   int    // requests one backend may have at once
	KeepAlive string // "on" or "off"
	Multiplex string // "auto", "on" or "off"
}

// Advice is what follows from a report.
type Advice struct {
	Workers   int      `json:"workers"` // 0: not known; as many as were tried if no limit was seen
	KeepAlive string   `json:"keep_alive"`
	Multiplex string   `json:"multiplex"`
	Warnings  []string `json:"warnings"` // where the settings differ from what was measured
}

// Advise says which settings fit, and what is wrong with those in s.
func (r *Report) Advise(s Settings) Advice {
	a := Advice{KeepAlive: "on", Multiplex: "auto"} // which serve does without being told
	if r.Capacity.Known {
		a.Workers = r.Capacity.Value.Connections
	}
	// Where connections are closed after each answer Sluice finds out by itself.
	if is(r.KeepAlive, Stalled) {
		a.KeepAlive = "off"
	}
	if r.multiplexes() && r.Multiplex.Known && !is(r.Multiplex, MultiplexWorks) {
		a.Multiplex = "off"
	}
	a.Warnings = []string{}
	for _, w := range []string{r.aboutWorkers(s.Workers), r.aboutKeepAlive(s.KeepAlive), r.aboutMultiplex(s.Multiplex), r.aboutQueue()} {
		if w != "" {
			a.Warnings = append(a.Warnings, w)
		}
	}
	return a
}

func (r *Report) aboutWorkers(workers int) string {
	c := r.Capacity.Value
	switch {
	case workers == 0 || !r.Capacity.Known:
		return ""
	case c.Full == FullUnseen && workers <= c.Connections:
		return ""
	case c.Full == FullUnseen:
		return fmt.Sprintf("--workers %d is more than was tried: no limit was seen up to %s", workers, connections(c.Connections))
	case workers < c.Connections:
		return fmt.Sprintf("--workers %d leaves some of the %s unused that this backend holds", workers, connections(c.Connections))
	case workers == c.Connections:
		return ""
	case c.Full == FullCloses:
		return fmt.Sprintf("--workers %d is more than the %s this backend took before it closed one", workers, connections(c.Connections))
	case c.Full == FullOverloaded:
		return fmt.Sprintf("--workers %d is more than the %s this backend took before it answered OVERLOADED", workers, connections(c.Connections))
	}
	return fmt.Sprintf("--workers %d is more than the %s this backend serves at once: further ones wait in its accept queue, where Sluice cannot order or end them", workers, connections(c.Connections))
}

func (r *Report) aboutKeepAlive(keepAlive string) string {
	switch {
	case keepAlive == "on" && is(r.KeepAlive, Stalled):
		return "--keep-alive on: requests on kept connections of this backend are not answered; use off"
	case keepAlive == "on" && is(r.KeepAlive, Closed):
		return "--keep-alive on has no effect: this backend closes the connection after each answer"
	case keepAlive == "off" && is(r.KeepAlive, Kept):
		return "--keep-alive off costs a connection per request: this backend keeps them"
	}
	return ""
}

func (r *Report) aboutMultiplex(multiplex string) string {
	works := is(r.Multiplex, MultiplexWorks)
	switch {
	case multiplex == "on" && !r.multiplexes():
		return "--multiplex on: this backend does not say that it multiplexes (" + r.saysOfMultiplexing() + "); requests would be lost or answered wrongly"
	case (multiplex == "on" || multiplex == "auto") && r.Multiplex.Known && !works:
		return fmt.Sprintf("--multiplex %s: this backend says %s=1, and it is not so (%s); use off", multiplex, fcgi.MpxsConns, r.Multiplex.Value)
	case multiplex == "off" && works:
		return "--multiplex off: this backend multiplexes; auto needs fewer connections"
	}
	return ""
}

// aboutQueue warns of a measurement in bad company.
func (r *Report) aboutQueue() string {
	n := r.Queue.Value.Depth
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s waited in the accept queue before the probe began: the backend is busy, and the capacity above is what others left of it", connections(n))
}

package probe

import (
	"fmt"
	"strconv"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// Settings are those of Sluice that depend on what the application does. Zero
// values say nothing.
type Settings struct {
	Workers   int    // requests one backend may have at once
	KeepAlive string // "auto", "on" or "off"
	Multiplex string // "auto", "on" or "off"
}

// Advice is what follows from a report.
type Advice struct {
	Workers   int    `json:"workers"` // 0: not known; as many as were tried if no limit was seen
	KeepAlive string `json:"keep_alive"`
	Multiplex string `json:"multiplex"`
	// Preset is "php" or "cgi" if that runs scripts; empty if it is not known to.
	Preset string `json:"preset,omitempty"`
	// OneAtATime is what it was started with, if it is one process that serves one request
	// at a time: there should be several, and Sluice can start them.
	OneAtATime *Process `json:"one_at_a_time,omitempty"`
	Warnings   []string `json:"warnings"` // where the settings differ from what was measured, and what was guessed
}

// Process is how a process was started. What is not known is empty.
type Process struct {
	Arguments []string `json:"arguments"`
	Dir       string   `json:"dir"`
	User      string   `json:"user"`
}

// Advise says which settings fit, and what is wrong with those in s.
func (r *Report) Advise(s Settings) Advice {
	a := Advice{KeepAlive: "auto", Multiplex: "auto", Preset: r.Answer.Preset} // which serve does without being told
	var guess string
	a.Workers, guess = r.workers()
	if r.multiplexes() && r.Multiplex.Known && !is(r.Multiplex, MultiplexWorks) {
		a.Multiplex = "off"
	}
	if r.Capacity.Known && r.Capacity.Value.Connections == 1 && r.Capacity.Value.Full == FullWaits && a.Preset == "" {
		a.OneAtATime = r.process()
	}
	a.Warnings = []string{}
	for _, w := range []string{guess, r.aboutWorkers(s.Workers), r.aboutKeepAlive(s.KeepAlive), r.aboutMultiplex(s.Multiplex), r.aboutQueue()} {
		if w != "" {
			a.Warnings = append(a.Warnings, w)
		}
	}
	return a
}

// fewThreads is how many threads a program has of which one accepts for all.
const fewThreads = 4

// workers is how many requests the application holds, 0 if that is not known. A guess is
// explained.
func (r *Report) workers() (n int, guess string) {
	c := r.Capacity
	named, _ := strconv.Atoi(r.Values[fcgi.MaxConns].Value)
	threads := r.threads()
	switch {
	case c.Known && c.Value.Full == FullUnseen && named > 1 && named < c.Value.Connections:
		return named, fmt.Sprintf("no limit was seen up to %s; --workers %d is what it says of itself (%s)", connections(c.Value.Connections), named, fcgi.MaxConns)
	case c.Known:
		return c.Value.Connections, ""
	case !is(r.KeepAlive, Stalled):
		return 0, ""
	}
	const untried = "how many requests it holds could not be tried, because an idle connection stops it; --workers %d is "
	if threads >= fewThreads {
		return threads, fmt.Sprintf(untried+"the number of its threads", threads)
	}
	return DefaultMax, fmt.Sprintf(untried+"a guess: name as many as it is to hold at once", DefaultMax)
}

// threads is how many the process has that has most, 0 if that is not known.
func (r *Report) threads() (most int) {
	for _, o := range r.Owners.Value {
		most = max(most, o.Threads)
	}
	return most
}

// process is how the application's one process was started.
func (r *Report) process() *Process {
	if len(r.Owners.Value) != 1 {
		return &Process{}
	}
	o := r.Owners.Value[0]
	return &Process{o.Arguments, o.Dir, o.User}
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
		return "--keep-alive on: requests on kept connections of this backend are not answered; use auto"
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

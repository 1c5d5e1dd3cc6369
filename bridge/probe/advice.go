package probe

import (
	"fmt"
	"strconv"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// Settings are the settings of Sluice that depend on the application's behaviour. Zero values
// are not compared.
type Settings struct {
	Workers   int    // requests one backend may have at once
	KeepAlive string // "auto", "on" or "off"
	Multiplex string // "auto", "on" or "off"
}

// Advice is what a Report means for the settings of Sluice.
type Advice struct {
	Workers   int    `json:"workers"` // 0 if not known; the number tried if no limit was seen
	KeepAlive string `json:"keep_alive"`
	Multiplex string `json:"multiplex"`
	// Preset is "php" or "cgi" if the application is known to run scripts.
	Preset string `json:"preset,omitempty"`
	// OneAtATime is set if the application is one process that serves one request at a time.
	// There should be several such processes, and Sluice can start them.
	OneAtATime *Process `json:"one_at_a_time,omitempty"`
	Warnings   []string `json:"warnings"` // differences between settings and measurement, and what was guessed
}

// Process is how a process was started. Unknown fields are empty.
type Process struct {
	Arguments []string `json:"arguments"`
	Dir       string   `json:"dir"`
	User      string   `json:"user"`
}

// Advise returns the settings that fit, with warnings about those in s that do not.
func (r *Report) Advise(s Settings) Advice {
	a := Advice{KeepAlive: "auto", Multiplex: "auto", Preset: r.Answer.Preset} // auto is the default of serve
	var guess string
	a.Workers, guess = r.workers()
	if r.claimsMultiplex() && r.Multiplex.Known && !is(r.Multiplex, MultiplexWorks) {
		a.Multiplex = "off"
	}
	if r.Capacity.Known && r.Capacity.Value.Connections == 1 && r.Capacity.Value.Full == FullWaits && a.Preset == "" {
		a.OneAtATime = r.process()
	}
	a.Warnings = []string{}
	for _, w := range []string{guess, r.warnWorkers(s.Workers), r.warnKeepAlive(s.KeepAlive), r.warnMultiplex(s.Multiplex), r.warnQueue()} {
		if w != "" {
			a.Warnings = append(a.Warnings, w)
		}
	}
	return a
}

// minThreads is the least number of threads that is taken for the number of workers. A program
// with fewer may have one thread that accepts for all.
const minThreads = 4

// workers returns how many requests the application holds, 0 if that is not known. guess
// explains a number that was not measured.
func (r *Report) workers() (n int, guess string) {
	c := r.Capacity
	named, _ := strconv.Atoi(r.Values[fcgi.MaxConns].Value)
	threads := r.threads()
	switch {
	case c.Known && c.Value.Full == FullNotSeen && named > 1 && named < c.Value.Connections:
		return named, fmt.Sprintf("no limit was seen up to %s; --workers %d is what it says of itself (%s)", connections(c.Value.Connections), named, fcgi.MaxConns)
	case c.Known:
		return c.Value.Connections, ""
	case !is(r.KeepAlive, Stalled):
		return 0, ""
	}
	const untried = "how many requests it holds could not be tried, because an idle connection stops it; --workers %d is "
	if threads >= minThreads {
		return threads, fmt.Sprintf(untried+"the number of its threads", threads)
	}
	return DefaultMax, fmt.Sprintf(untried+"a guess: name as many as it is to hold at once", DefaultMax)
}

// threads returns the number of threads of the process with most, 0 if that is not known.
func (r *Report) threads() (most int) {
	for _, o := range r.Owners.Value {
		most = max(most, o.Threads)
	}
	return most
}

// process returns how the application's only process was started.
func (r *Report) process() *Process {
	if len(r.Owners.Value) != 1 {
		return &Process{}
	}
	o := r.Owners.Value[0]
	return &Process{o.Arguments, o.Dir, o.User}
}

func (r *Report) warnWorkers(workers int) string {
	c := r.Capacity.Value
	switch {
	case workers == 0 || !r.Capacity.Known:
		return ""
	case c.Full == FullNotSeen && workers <= c.Connections:
		return ""
	case c.Full == FullNotSeen:
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

func (r *Report) warnKeepAlive(keepAlive string) string {
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

func (r *Report) warnMultiplex(multiplex string) string {
	works := is(r.Multiplex, MultiplexWorks)
	switch {
	case multiplex == "on" && !r.claimsMultiplex():
		return "--multiplex on: this backend does not say that it multiplexes (" + r.multiplexClaim() + "); requests would be lost or answered wrongly"
	case (multiplex == "on" || multiplex == "auto") && r.Multiplex.Known && !works:
		return fmt.Sprintf("--multiplex %s: this backend says %s=1, and it is not so (%s); use off", multiplex, fcgi.MpxsConns, r.Multiplex.Value)
	case multiplex == "off" && works:
		return "--multiplex off: this backend multiplexes; auto needs fewer connections"
	}
	return ""
}

// warnQueue warns if other clients had connections during the measurement.
func (r *Report) warnQueue() string {
	n := r.Queue.Value.Depth
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s waited in the accept queue before the probe began: the backend is busy, and the capacity above is what others left of it", connections(n))
}

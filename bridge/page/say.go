package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/fleet"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// Level says how much a Finding matters.
type Level string

// The levels, the most important first.
const (
	Alarm   Level = "alarm"   // requests fail
	Warning Level = "warning" // requests wait or are refused, or soon will be
	Notice  Level = "notice"  // something holds workers, and nobody is hurt
	OK      Level = "ok"
)

var levels = []Level{Alarm, Warning, Notice, OK}

// Finding is something that is the matter, in a sentence.
type Finding struct {
	Level Level  `json:"level"`
	Text  string `json:"text"`
	Fault bool   `json:"fault,omitempty"` // something is broken, and not only busy
}

// facts are what findings are found in.
type facts struct {
	now      time.Time
	snapshot *bridge.Snapshot
	inFlight []admission.InFlight // the oldest first
	clients  []admission.ClientSnapshot
	recent   []Point // of the last seconds
}

// say returns what is the matter, the most important first, or that all is well.
func say(f *facts) (all []Finding) {
	for _, look := range []func(*facts) (Finding, bool){
		sayProcesses, sayUnreachable, sayAuthorizer, sayFleet, sayHandover, sayStall, sayFull, saySession, sayLong, sayBusy, sayRefused, sayMemory, sayAcceptQueue, sayAbandoned, sayDisk, sayHeld,
	} {
		if found, matters := look(f); matters {
			all = append(all, found)
		}
	}
	if len(all) == 0 {
		g := &f.snapshot.Gate
		text := fmt.Sprintf("All is well. %s busy, and nobody waits", workersAre(g.InUse, g.Workers))
		if h := f.snapshot.Hold; h != nil && h.Clients > 0 {
			text += fmt.Sprintf(" for a worker; %s held until there is news", isAre(h.Clients, "client"))
		}
		return []Finding{{Level: OK, Text: text + "."}}
	}
	sortByLevel(all)
	return all
}

func sortByLevel(all []Finding) {
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Compare(slices.Index(levels, a.Level), slices.Index(levels, b.Level))
	})
}

func sayProcesses(f *facts) (Finding, bool) {
	p := f.snapshot.Processes
	switch {
	case p == nil:
		return Finding{}, false
	case p.Breaker == "open":
		return Finding{Level: Alarm, Text: "No process of the application runs, because too many have ended one after the other. Requests are refused" + untilStart(f) + ". The log has its last output.", Fault: true}, true
	case p.CrashLoop.Active:
		text := fmt.Sprintf("The application's processes end again and again, %s in the last minute", times(p.CrashLoop.LastMinute))
		if n := len(p.CrashLoop.Exits); n > 0 {
			text += "; the last one with " + exitText(p.CrashLoop.Exits[n-1].Status, p.CrashLoop.Exits[n-1].Signal)
		}
		return Finding{Level: Alarm, Text: text + ". The log has its last output.", Fault: true}, true
	}
	starting := false
	for _, in := range p.Instances {
		switch in.State {
		case "ready", "serving":
			return Finding{}, false
		case "starting", "waiting", "probing":
			starting = true
		}
	}
	return Finding{Level: Warning, Text: startingText(f)}, starting
}

// untilStart says when the next process is started.
func untilStart(f *facts) string {
	for _, in := range f.snapshot.Processes.Instances {
		if in.Next.After(f.now) {
			return " until the next start in " + round(in.Next.Sub(f.now))
		}
	}
	return ""
}

// startingText is about processes of which none answers requests yet.
func startingText(f *facts) string {
	text := "The application is being started"
	for _, in := range f.snapshot.Processes.Instances {
		if e := in.LastExit; e != nil && in.PID == 0 {
			text = "No process of the application runs. The last one ended with " + exitText(e.Status, e.Signal)
			if in.Next.After(f.now) {
				text += fmt.Sprintf("; the next is started in %s", round(in.Next.Sub(f.now)))
			}
			break
		}
	}
	if n := int(f.snapshot.InFlight); n > 0 {
		text += fmt.Sprintf(". %s for it", waitsWait(n, "request"))
	}
	return text + "."
}

func exitText(status int, signal string) string {
	if signal != "" {
		return "the signal " + signal
	}
	return fmt.Sprintf("exit status %d", status)
}

func sayUnreachable(f *facts) (Finding, bool) {
	down, all, last := 0, 0, ""
	for _, in := range f.snapshot.Pool.Instances {
		if in.State != "draining" {
			all++
		}
		if in.State == "down" {
			down++
			last = in.Addr
			if in.LastError != "" {
				last += " (" + in.LastError + ")"
			}
		}
	}
	switch {
	case down == 0:
		return Finding{}, false
	case down == all:
		return Finding{Level: Alarm, Text: fmt.Sprintf("The application cannot be connected to at %s.", last), Fault: true}, true
	}
	return Finding{Level: Warning, Text: fmt.Sprintf("%d of %d instances cannot be connected to, the last one at %s.", down, all, last), Fault: true}, true
}

func sayAuthorizer(f *facts) (Finding, bool) {
	a := f.snapshot.Authorizer
	if a == nil || a.State != "down" {
		return Finding{}, false
	}
	at := a.Addr
	if a.LastError != "" {
		at += " (" + a.LastError + ")"
	}
	return Finding{Level: Alarm, Text: fmt.Sprintf("The authorizer cannot be connected to at %s. What it is asked about is refused.", at), Fault: true}, true
}

func sayFleet(f *facts) (Finding, bool) {
	s := f.snapshot.Fleet
	if s == nil {
		return Finding{}, false
	}
	switch s.Status {
	case fleet.Alone:
		return Finding{Level: Warning, Text: fmt.Sprintf("The fleet's engine cannot be reached (%s); this gate uses no more than its share, %s.", s.Error, count(s.Share, "worker")), Fault: true}, true
	case fleet.TooMany:
		return Finding{Level: Alarm, Text: fmt.Sprintf("There are %s, as many as there may be, and this one gets no workers.", count(s.Most, "other gate")), Fault: true}, true
	case fleet.Waiting:
		return Finding{Level: Notice, Text: "This gate waits for its first lease of workers from the fleet's engine."}, true
	}
	return Finding{}, false
}

// sayHandover is about workers that the process before this one has after an upgrade.
func sayHandover(f *facts) (Finding, bool) {
	if f.snapshot.Fleet != nil {
		return Finding{}, false
	}
	n := f.snapshot.Gate.Workers - mayUse(f.snapshot)
	return Finding{Level: Notice, Text: fmt.Sprintf("%s left to the process before this one, until its requests end.", workersAre(n, f.snapshot.Gate.Workers))}, n > 0
}

func sayStall(f *facts) (Finding, bool) {
	s := &f.snapshot.Gate.Stall
	silent := round(f.now.Sub(s.Since))
	switch s.State {
	case "stalled":
		text := fmt.Sprintf("The application has answered nobody for %s", silent)
		held := slices.DeleteFunc(slices.Clone(s.Held), func(r admission.InFlight) bool { return f.now.Add(-r.Age).After(s.Since.Add(time.Second)) })
		if route, n := mostOf(held); n > 0 {
			text += fmt.Sprintf("; %s for %s %s in flight when it stopped", count(n, "request"), shortRoute(route), wasWere(n))
			if others := len(held) - n; others > 0 {
				text += fmt.Sprintf(", and %s", count(others, "other"))
			}
		}
		return Finding{Level: Alarm, Text: text + ".", Fault: true}, true
	case "suspected":
		return Finding{Level: Warning, Text: fmt.Sprintf("The application has answered nobody for %s. One request at a time finds out whether it has stalled.", silent)}, true
	case "recovering":
		return Finding{Level: Notice, Text: "The application answers again after a stall. Requests are let in a few at a time."}, true
	}
	return Finding{}, false
}

func sayFull(f *facts) (Finding, bool) {
	g := &f.snapshot.Gate
	full := slices.ContainsFunc(f.snapshot.Pool.Instances, func(in pool.InstanceSnapshot) bool { return in.State == "full" })
	text := fmt.Sprintf("The application is full with %s at once, although it has %s by the settings.", count(g.Capacity, "request"), count(g.Workers, "worker"))
	return Finding{Level: Warning, Text: text, Fault: true}, full && g.Capacity < g.Workers
}

// saySession finds the session most of whose requests wait for its own.
func saySession(f *facts) (Finding, bool) {
	var most *admission.ClientSnapshot
	for i := range f.clients {
		if c := &f.clients[i]; !c.Shared && c.InFlight > 0 && c.Waiting > 1 && (most == nil || c.Waiting > most.Waiting) {
			most = c
		}
	}
	if most == nil || most.ClientKey == admission.ClientKeyName(0) {
		return Finding{}, false
	}
	return Finding{Level: Notice, Text: fmt.Sprintf("Session %s holds %s, and %d of its requests wait for %s.",
		most.ClientKey, count(most.InFlight, "worker"), most.Waiting, map[bool]string{true: "it", false: "them"}[most.InFlight == 1])}, true
}

// sayLong finds long requests that hold most of the workers that they may have.
func sayLong(f *facts) (Finding, bool) {
	g := &f.snapshot.Gate
	if g.Long == 0 || 2*g.Long < g.Workers && g.Long < g.LongCap || g.Workers == 1 {
		return Finding{}, false
	}
	held := slices.DeleteFunc(slices.Clone(f.inFlight), func(r admission.InFlight) bool { return stateOf(&r) == "short" })
	text := workersAre(g.Long, g.Workers) + " held by long requests"
	if route, n := mostOf(held); n == g.Long {
		text += " for " + shortRoute(route)
	} else if n > 1 {
		text += fmt.Sprintf(", %d of them for %s", n, shortRoute(route))
	}
	if parked := g.Lanes["long"].Waiting + g.Lanes["mixed"].Waiting; parked > 0 {
		text += fmt.Sprintf(", and %d more are parked", parked)
	}
	if waiting := queueOf(g); waiting > 0 {
		return Finding{Level: Warning, Text: text + fmt.Sprintf("; %s.", waitsWait(waiting, "short request"))}, true
	}
	return Finding{Level: Notice, Text: text + "; pages are not affected."}, true
}

func sayBusy(f *facts) (Finding, bool) {
	g := &f.snapshot.Gate
	waiting := queueOf(g)
	if waiting == 0 || g.InUse < g.Capacity || g.Stall.State != "none" {
		return Finding{}, false
	}
	text := fmt.Sprintf("%s busy, and %s", allWorkers(g.Capacity), waitsWait(waiting, "request"))
	if route, n := mostOf(f.inFlight); n > 1 && 3*n >= g.InUse {
		text += fmt.Sprintf("; %d of the workers are at %s", n, shortRoute(route))
	}
	return Finding{Level: Warning, Text: text + "."}, true
}

var reasonTexts = map[string]string{
	"full":      "as many wait as may",
	"timeout":   "no worker became free in time",
	"predicted": "no worker would have become free in time",
	"stalled":   "the application answers nobody",
	"down":      "the application does not run",
	"upgrades":  "as many connections are upgraded as may be",
}

func sayRefused(f *facts) (Finding, bool) {
	total := 0
	var by [len(admission.Sample{}.Refused)]int
	for _, p := range f.recent {
		for i, n := range p.Refused {
			by[i] += n
			total += n
		}
	}
	if total == 0 {
		return Finding{}, false
	}
	reasons, most := admission.Reasons(), 0
	for i := range by {
		if by[i] > by[most] {
			most = i
		}
	}
	text := fmt.Sprintf("%s refused in the last %d s", wasRefused(total), len(f.recent))
	if by[most] < total {
		text += fmt.Sprintf(", %d of them", by[most])
	}
	return Finding{Level: Warning, Text: text + " because " + reasonTexts[reasons[most]] + "."}, true
}

func sayMemory(f *facts) (Finding, bool) {
	p := f.snapshot.Processes
	if p == nil {
		return Finding{}, false
	}
	for _, in := range p.Instances {
		if limit := p.Memory.Hard; limit > 0 && in.Memory*10 >= limit*9 {
			return Finding{Level: Warning, Text: fmt.Sprintf("The process %d has used %d %% of the memory that it may.", in.PID, in.Memory*100/limit)}, true
		}
	}
	m := &p.Memory
	return Finding{Level: Warning, Text: fmt.Sprintf("All processes together have used %d %% of the memory that they may.", m.Used*100/max(1, m.Total))}, m.Total > 0 && m.Used*10 >= m.Total*9
}

func sayAcceptQueue(f *facts) (Finding, bool) {
	for _, in := range f.snapshot.Pool.Instances {
		if q := in.AcceptQueue; q != nil && q.Depth > 0 && 2*q.Depth >= q.Backlog {
			return Finding{Level: Warning, Text: fmt.Sprintf("At %s, %d connections have not been accepted yet; %d fit the accept queue.", in.Addr, q.Depth, q.Backlog)}, true
		}
	}
	return Finding{}, false
}

func sayAbandoned(f *facts) (Finding, bool) {
	n, workers := int(f.snapshot.Abandoned), f.snapshot.Gate.Workers
	return Finding{Level: Notice, Text: fmt.Sprintf("%s for requests that nobody waits for any more.", worksWork(n))}, n > 0 && 4*n >= workers
}

func sayDisk(f *facts) (Finding, bool) {
	text := f.snapshot.Spool.DiskError
	return Finding{Level: Warning, Text: fmt.Sprintf("Large bodies and answers cannot be stored: %s. Make room.", text), Fault: true}, text != ""
}

// sayHeld finds that hardly any more clients can be held, or that many have missed a message.
func sayHeld(f *facts) (Finding, bool) {
	h := f.snapshot.Hold
	switch {
	case h == nil:
		return Finding{}, false
	case h.Clients*10 >= h.Max*9:
		return Finding{Level: Warning, Text: fmt.Sprintf("%d of %s are held that may be; more are refused.", h.Clients, count(h.Max, "client"))}, true
	case h.Waiting > 0:
		return Finding{Level: Notice, Text: fmt.Sprintf("%s to be asked for again at the application, because messages were missed.", waitsWait(h.Waiting, "held client"))}, true
	}
	return Finding{}, false
}

// queueOf is how many short and unknown requests wait.
func queueOf(g *admission.Snapshot) int { return g.Lanes["short"].Waiting + g.Lanes["unknown"].Waiting }

// mostOf returns the route that most of the requests are for, and of how many; of several, the one
// of the oldest request.
func mostOf(list []admission.InFlight) (route string, n int) {
	by := make(map[string]int)
	for i := range list {
		by[list[i].Route]++
	}
	for i := range list {
		if r := list[i].Route; by[r] > n {
			route, n = r, by[r]
		}
	}
	return route, n
}

// shortRoute is the path of a route, as people speak of it.
func shortRoute(route string) string {
	i := strings.Index(route, " /")
	if i < 0 {
		return cmp.Or(route, "one route")
	}
	path, _, _ := strings.Cut(route[i+1:], "?")
	return path
}

package watch

import (
	"fmt"
	"strings"
	"time"
)

// Trouble returns what is the matter, the worst first: a sentence each, for one application after the
// other. None: all is well.
func (s *State) Trouble(now time.Time) (list []string) {
	if s.Front.Draining {
		list = append(list, "Sluice is ending: it takes no new requests.")
	}
	all := s.split()
	for _, a := range all {
		for _, sentence := range a.trouble(now) {
			if len(all) > 1 {
				sentence = a.Name + ": " + sentence
			}
			list = append(list, sentence)
		}
	}
	return list
}

func (s *State) trouble(now time.Time) (list []string) {
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if p := s.Processes; p != nil && p.Breaker == "open" {
		add("The command keeps ending: requests are refused until it is tried again. The log has its last output.")
	} else if p != nil && p.CrashLoop.Active {
		add("The command keeps ending: %d times in a row. The log has its last output.", p.CrashLoop.Count)
	}
	for _, in := range s.Pool.Instances {
		switch in.State {
		case "down":
			add("%s cannot be connected to (%s). Is the application running?", in.Addr, in.LastError)
		case "full":
			add("%s holds only %d requests, not %d as --workers says: it has turned connections away.", in.Addr, in.Observed, in.Workers)
		}
	}
	if g := &s.Gate; g.Stall.State == "stalled" {
		add("The application has answered nobody for %s. In flight: %s.", age(now.Sub(g.Stall.Since)), held(g.Stall.Held))
	}
	if a := s.Authorizer; a != nil && a.State == "down" {
		add("The authorizer %s cannot be connected to (%s).", a.Addr, a.LastError)
	}
	if s.Spool.DiskError != "" {
		add("Temporary files cannot be written (%s): make room.", s.Spool.DiskError)
	}
	return list
}

// heldShown is how many requests a sentence names.
const heldShown = 3

func held(list []Held) string {
	var names []string
	for _, h := range list[:min(len(list), heldShown)] {
		names = append(names, h.Method+" "+h.Path)
	}
	if more := len(list) - heldShown; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// NotReady returns why an application would not answer a request now, "" if all would. That one has not
// been connected to yet speaks for nothing, and not against it.
func (s *State) NotReady() string {
	for _, a := range s.split() {
		switch why := a.notReady(); {
		case why != "" && a.Name != "":
			return a.Name + ": " + why
		case why != "":
			return why
		}
	}
	return ""
}

func (s *State) notReady() string {
	if s.Front.Draining {
		return "Sluice is ending"
	}
	down := 0
	reason := "there is no instance of the application"
	for _, in := range s.Pool.Instances {
		if in.State == "down" || in.State == "draining" {
			down++
			reason = strings.TrimSpace(in.Addr + " is " + in.State + " " + in.LastError)
		}
	}
	if down < len(s.Pool.Instances) {
		reason = ""
	}
	if s.Processes == nil || reason != "" && len(s.Pool.Instances) > 0 {
		return reason
	}
	return s.Processes.notReady()
}

func (p *Processes) notReady() string {
	if p.Breaker == "open" {
		return "the command keeps ending"
	}
	for _, in := range p.Instances {
		switch in.State {
		case "ready", "serving", "asleep": // one that is asleep is started by the next request
			return ""
		}
	}
	return "no process of the application is ready"
}

// age is a duration as people read it: 0.4 s, 12 s, 3 m 20 s, 2 h 5 m.
func age(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", max(d, 0).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d m %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d m", int(d.Hours()), int(d.Minutes())%60)
}

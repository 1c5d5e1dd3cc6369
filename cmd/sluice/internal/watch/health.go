package watch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// levels are those of findings, the worst first.
var levels = []string{"alarm", "warning", "notice", "ok"}

// matter returns what is the matter, the worst first; nothing if all is well. With several
// applications, each sentence says of which.
func (s *State) matter() (list []Finding) {
	list = slices.Clone(s.Front.Findings)
	all := s.split()
	for _, a := range all {
		for _, f := range a.Findings {
			if f.Level == "ok" {
				continue
			}
			if len(all) > 1 {
				f.Text = a.Name + ": " + f.Text
			}
			list = append(list, f)
		}
	}
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Compare(slices.Index(levels, a.Level), slices.Index(levels, b.Level))
	})
	return list
}

// Degraded reports whether something is broken, and not only busy.
func (s *State) Degraded() bool {
	return slices.ContainsFunc(s.matter(), func(f Finding) bool { return f.Fault })
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

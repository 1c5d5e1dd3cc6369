package metrics

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

var breakerStates = []string{"closed", "open", "probing"}

// applicationFamilies returns the metrics of an application that Sluice starts.
func applicationFamilies() []family {
	return []family{
		{
			"application_breaker_state", gauge, "1 for the state of the breaker: closed, open (requests are refused) or probing.",
			[]string{"state"},
			func(s *bridge.Snapshot, out sink) {
				if g := s.Processes; g != nil {
					out.state(g.Breaker, breakerStates)
				}
			},
		},
		{
			"application_spawn_budget", gauge, "Processes that may die within the budget's window.", nil,
			ofApplication(func(g *supervise.Snapshot) int { return g.Budget.Spawns }),
		},
		{
			"application_spawn_budget_left", gauge, "Processes that may yet die before none is started for a while.", nil,
			ofApplication(func(g *supervise.Snapshot) int { return g.Budget.Left }),
		},
		{
			"application_spawn_budget_window_seconds", gauge, "The time that the budget is for.", nil,
			ofApplication(func(g *supervise.Snapshot) float64 { return g.Budget.Per }),
		},
		{
			"application_storm", gauge, "1 while processes die in numbers.", nil,
			ofApplication(func(g *supervise.Snapshot) float64 { return truth(g.CrashLoop.Active) }),
		},
		{
			"application_storm_start_timestamp_seconds", gauge, "When the storm, or the last one, began. No series if there was none.", nil,
			applicationTime(func(g *supervise.Snapshot) time.Time { return g.CrashLoop.Began }),
		},
		{
			"application_storm_deaths", gauge, "Processes that died in the storm, or in the last one.", nil,
			ofApplication(func(g *supervise.Snapshot) int { return g.CrashLoop.Count }),
		},
		{
			"application_recent_deaths", gauge, "Processes that died in the last minute.", nil,
			ofApplication(func(g *supervise.Snapshot) int { return g.CrashLoop.LastMinute }),
		},
		{
			"application_started_total", counter, "Processes that were started.", nil,
			ofApplication(func(g *supervise.Snapshot) uint64 { return g.Started }),
		},
		{
			"application_answered_total", counter, "Requests that processes have answered.", nil,
			ofApplication(func(g *supervise.Snapshot) uint64 { return g.Answered }),
		},
		{
			"application_exits_total", counter, "Processes that ended, by kind of end.",
			[]string{"kind"},
			func(s *bridge.Snapshot, out sink) {
				if s.Processes == nil {
					return
				}
				for kind, n := range s.Processes.Exits {
					out.value(float64(n), kind)
				}
			},
		},
		{
			"application_serves_at_once", gauge, "Requests that a process serves at once, where that is fewer than the workers. No series otherwise.", nil,
			func(s *bridge.Snapshot, out sink) {
				if g := s.Processes; g != nil && g.Concurrency.Limit > 0 {
					out.value(float64(g.Concurrency.Limit))
				}
			},
		},
		{
			"application_ends_after_each_request", gauge, "1 if a process ends after each request.", nil,
			ofApplication(func(g *supervise.Snapshot) float64 { return truth(g.Concurrency.EndsAfterEach) }),
		},
		{
			"application_suspected_routes", gauge, "Routes that were in flight at several deaths running.", nil,
			ofApplication(func(g *supervise.Snapshot) int { return len(g.Suspects) }),
		},
		{
			"application_quarantined_routes", gauge, "Routes that are refused because they may be what kills processes.", nil,
			ofApplication(quarantined),
		},
		{
			"application_memory_info", gauge, "1. The label says what memory is measured by.",
			[]string{"kind"},
			func(s *bridge.Snapshot, out sink) {
				if g := s.Processes; g != nil && g.Memory.Kind != "" {
					out.value(1, g.Memory.Kind)
				}
			},
		},
		{
			"application_memory_used_bytes", gauge, "Memory that all processes use. No series without a limit: then it is not measured.", nil,
			func(s *bridge.Snapshot, out sink) {
				if g := s.Processes; g != nil && g.Memory.Used > 0 {
					out.value(float64(g.Memory.Used))
				}
			},
		},
		{
			"application_memory_limit_bytes", gauge, "The limits there are: soft and hard, of an instance, and total, of all.",
			[]string{"limit"},
			memoryLimits,
		},
	}
}

func quarantined(g *supervise.Snapshot) int {
	n := 0
	for _, r := range g.Suspects {
		if !r.RefusedUntil.IsZero() {
			n++
		}
	}
	return n
}

func memoryLimits(s *bridge.Snapshot, out sink) {
	if s.Processes == nil {
		return
	}
	m := s.Processes.Memory
	for name, limit := range map[string]uint64{"soft": m.Soft, "hard": m.Hard, "total": m.Total} {
		if limit > 0 {
			out.value(float64(limit), name)
		}
	}
}

// ofApplication reads the value of a metric without labels.
func ofApplication[N number](value func(*supervise.Snapshot) N) reader {
	return func(s *bridge.Snapshot, out sink) {
		if g := s.Processes; g != nil {
			out.value(float64(value(g)))
		}
	}
}

func applicationTime(value func(*supervise.Snapshot) time.Time) reader {
	return func(s *bridge.Snapshot, out sink) {
		if g := s.Processes; g != nil {
			out.timestamp(value(g))
		}
	}
}

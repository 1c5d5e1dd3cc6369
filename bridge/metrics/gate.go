package metrics

import "github.com/sluice-proxy/sluice/bridge"

var stallStates = []string{"none", "suspected", "stalled", "recovering"}

func gateFamilies() []family {
	return []family{
		{
			"gate_workers", gauge, "Requests the application can hold at once, as configured.", nil,
			single(func(s *bridge.Snapshot) int { return s.Gate.Workers }),
		},
		{
			"gate_capacity", gauge, "Requests the application is believed to hold at once now: the workers there are.", nil,
			single(func(s *bridge.Snapshot) int { return s.Gate.Capacity }),
		},
		{
			"gate_in_use", gauge, "Slots in use.", nil,
			single(func(s *bridge.Snapshot) int { return s.Gate.InUse }),
		},
		{
			"gate_long_in_use", gauge, "Slots in use by requests that count as long.", nil,
			single(func(s *bridge.Snapshot) int { return s.Gate.Long }),
		},
		{
			"gate_long_limit", gauge, "Slots that long requests may have now.", nil,
			single(func(s *bridge.Snapshot) int { return s.Gate.LongCap }),
		},
		{
			"gate_reserve", gauge, "Slots that long requests never take.", nil,
			single(func(s *bridge.Snapshot) int { return s.Gate.Reserve }),
		},
		{
			"gate_upgraded", gauge, "Upgraded connections (WebSocket), and requests for one that wait.", nil,
			single(func(s *bridge.Snapshot) int { return s.Gate.Upgraded }),
		},
		{
			"gate_upgraded_limit", gauge, "Upgraded connections that there may be.", nil,
			single(func(s *bridge.Snapshot) int { return s.Gate.MaxUpgraded }),
		},
		{
			"gate_nested_requests_total", counter, "Requests that the application was found to have sent itself.", nil,
			single(func(s *bridge.Snapshot) uint64 { return s.Gate.Nested }),
		},
		{
			"gate_short_requests_per_second", gauge, "Short requests that arrive, by the estimate of the gate.", nil,
			single(func(s *bridge.Snapshot) float64 { return s.Gate.ShortRate }),
		},
		{
			"gate_short_duration_seconds", gauge, "Mean time of a short request, by the estimate of the gate.", nil,
			single(func(s *bridge.Snapshot) float64 { return s.Gate.ShortMean / 1000 }),
		},
		{
			"gate_stall_state", gauge, "1 for the state of a stall: none, suspected, stalled or recovering.",
			[]string{"state"},
			func(s *bridge.Snapshot, out sink) { out.state(s.Gate.Stall.State, stallStates) },
		},
		{
			"gate_stall_start_timestamp_seconds", gauge, "When the application last answered before the stall. No series while there is no stall.", nil,
			func(s *bridge.Snapshot, out sink) { out.timestamp(s.Gate.Stall.Since) },
		},
		{
			"gate_stalls_total", counter, "Stalls: times when the application answered no request.", nil,
			single(func(s *bridge.Snapshot) uint64 { return s.Gate.Stall.Count }),
		},
	}
}

package metrics

import (
	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/fleet"
)

var fleetStatuses = []string{fleet.Waiting, fleet.Leased, fleet.Alone, fleet.TooMany, fleet.DrainingNow}

// fleetFamilies returns the metrics of a gate that shares its application's workers with others. There
// are no series without others.
func fleetFamilies() []family {
	return []family{
		{
			"fleet_state", gauge, "1 for what the gate goes by: waiting for its first lease, leased, alone without the engine, crowded out, or draining.",
			[]string{"state"},
			func(s *bridge.Snapshot, out sink) {
				if s.Fleet != nil {
					out.state(s.Fleet.Status, fleetStatuses)
				}
			},
		},
		{
			"fleet_state_start_timestamp_seconds", gauge, "Since when.", nil,
			func(s *bridge.Snapshot, out sink) {
				if s.Fleet != nil {
					out.timestamp(s.Fleet.Since)
				}
			},
		},
		{"fleet_allowed", gauge, "Connections that the gate may have to each instance of the application.", nil, ofFleet(func(s *fleet.State) int { return s.Allowed })},
		{"fleet_share", gauge, "Connections that it may have without the engine.", nil, ofFleet(func(s *fleet.State) int { return s.Share })},
		{"fleet_gates", gauge, "Gates that were there at the last renewal.", nil, ofFleet(func(s *fleet.State) int { return s.Gates })},
		{"fleet_gates_limit", gauge, "Gates that there may be.", nil, ofFleet(func(s *fleet.State) int { return s.Most })},
		{"fleet_others_allowed", gauge, "Connections that the others had or might make then.", nil, ofFleet(func(s *fleet.State) int { return s.Others })},
		{"fleet_renewals_total", counter, "Renewals of the lease.", nil, ofFleet(func(s *fleet.State) uint64 { return s.Renewed })},
		{"fleet_renewals_failed_total", counter, "Renewals that had no answer.", nil, ofFleet(func(s *fleet.State) uint64 { return s.Failed })},
	}
}

func ofFleet[T int | uint64](value func(*fleet.State) T) reader {
	return func(s *bridge.Snapshot, out sink) {
		if s.Fleet != nil {
			out.value(float64(value(s.Fleet)))
		}
	}
}

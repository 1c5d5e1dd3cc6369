package metrics

import "github.com/sluice-proxy/sluice/bridge"

// holdFamilies returns the metrics of held clients. There are no series if none are held.
func holdFamilies() []family {
	return []family{
		{
			"held_clients", gauge, "Clients that are held until something is published for them.", nil,
			ofHold(func(h *bridge.HoldSnapshot) float64 { return float64(h.Clients) }),
		},
		{
			"held_clients_max", gauge, "Clients that may be held, as configured.", nil,
			ofHold(func(h *bridge.HoldSnapshot) float64 { return float64(h.Max) }),
		},
		{
			"held_channels", gauge, "Channels, by whether somebody is held there: held, or remembered because their last id is known.",
			[]string{"state"},
			func(s *bridge.Snapshot, out sink) {
				if h := s.Hold; h != nil {
					out.value(float64(h.Channels), "held")
					out.value(float64(h.Remembered), "remembered")
				}
			},
		},
		{
			"held_recoveries", gauge, "Held clients that have missed something, by state: active while the application is asked again, waiting for their turn before.",
			[]string{"state"},
			func(s *bridge.Snapshot, out sink) {
				if h := s.Hold; h != nil {
					out.value(float64(h.Recovering), "active")
					out.value(float64(h.Waiting), "waiting")
				}
			},
		},
		{
			"held_ended_total", counter, "Clients that have ceased to be held, by why: answered, closed, expired, recovered, missed, slow, drained or left.",
			[]string{"end"},
			func(s *bridge.Snapshot, out sink) {
				if h := s.Hold; h != nil {
					for end, n := range h.Ended {
						out.value(float64(n), end)
					}
				}
			},
		},
		{
			"held_refused_total", counter, "Clients that were to be held, beyond a limit.", nil,
			ofHold(func(h *bridge.HoldSnapshot) float64 { return float64(h.Refused) }),
		},
		{
			"held_gone_total", counter, "Clients that were held and are gone, where the application has asked to be told: it was told, that failed, or it was dropped.",
			[]string{"result"},
			func(s *bridge.Snapshot, out sink) {
				if h := s.Hold; h != nil {
					out.value(float64(h.Gone.Told), "told")
					out.value(float64(h.Gone.Failed), "failed")
					out.value(float64(h.Gone.Dropped), "dropped")
				}
			},
		},
		{
			"held_gone_notices", gauge, "Requests that tell the application so, by state: active, or waiting for their turn.",
			[]string{"state"},
			func(s *bridge.Snapshot, out sink) {
				if h := s.Hold; h != nil {
					out.value(float64(h.Gone.Active), "active")
					out.value(float64(h.Gone.Waiting), "waiting")
				}
			},
		},
		{
			"published_items_total", counter, "Items that were published for held clients.", nil,
			ofHold(func(h *bridge.HoldSnapshot) float64 { return float64(h.Published) }),
		},
		{
			"published_messages_total", counter, "Messages that held clients were sent.", nil,
			ofHold(func(h *bridge.HoldSnapshot) float64 { return float64(h.Delivered) }),
		},
		{
			"published_unusual_total", counter, "Items that were published twice (duplicate), or whose predecessor did not come in time (late), messages that no variables could be put into for a client (unfit), and attempts without the key (denied).",
			[]string{"reason"},
			func(s *bridge.Snapshot, out sink) {
				if h := s.Hold; h != nil {
					out.value(float64(h.Duplicates), "duplicate")
					out.value(float64(h.Late), "late")
					out.value(float64(h.Unfit), "unfit")
					out.value(float64(h.Denied), "denied")
				}
			},
		},
	}
}

func ofHold(value func(*bridge.HoldSnapshot) float64) reader {
	return func(s *bridge.Snapshot, out sink) {
		if s.Hold != nil {
			out.value(value(s.Hold))
		}
	}
}

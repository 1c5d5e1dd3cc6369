package metrics

import (
	"maps"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// poolCounters are the counters that the pool keeps for each instance.
var poolCounters = []struct {
	name, help string
	value      func(*pool.Counters) uint64
}{
	{"dials_total", "Attempts to connect", func(c *pool.Counters) uint64 { return c.Dials }},
	{"dial_errors_total", "Attempts to connect that failed", func(c *pool.Counters) uint64 { return c.DialErrors }},
	{"backlog_full_total", "Attempts to connect that found the listen backlog full", func(c *pool.Counters) uint64 { return c.BacklogFull }},
	{"turned_away_total", "Requests that there was no room for", func(c *pool.Counters) uint64 { return c.TurnedAway }},
	{"reuses_total", "Requests on a connection that had been used before", func(c *pool.Counters) uint64 { return c.Reuses }},
	{"stale_connections_total", "Kept connections that were dead before they were used again", func(c *pool.Counters) uint64 { return c.Stale }},
	{
		"yielded_connections_total", "Good connections closed because others waited to be accepted",
		func(c *pool.Counters) uint64 { return c.ShedIdle },
	},
	{
		"worked_on_connections_total", "Kept connections set aside because their process worked on after its answer",
		func(c *pool.Counters) uint64 { return c.WorkedOn },
	},
	{"discarded_requests_total", "Requests that did not end cleanly", func(c *pool.Counters) uint64 { return c.Discarded }},
}

// counterFamilies returns two metrics for each counter: one that sums all instances there ever
// were, and one for each instance, where instances are permanent.
func counterFamilies() []family {
	const all, one = ", those at removed instances included.", "."
	var list []family
	for _, c := range poolCounters {
		list = append(list,
			family{"pool_" + c.name, counter, c.help + all, nil, func(s *bridge.Snapshot, out sink) {
				out.value(float64(total(s, c.value)))
			}},
			family{"backend_" + c.name, counter, c.help + one, []string{"backend"}, lasting(backends(func(in *pool.InstanceSnapshot) uint64 {
				return c.value(&in.Counters)
			}))})
	}
	const replays = "Requests that were sent again, by reason"
	return append(list,
		family{"pool_replays_total", counter, replays + all, []string{"reason"}, poolReplays},
		family{"backend_replays_total", counter, replays + one, []string{"backend", "reason"}, lasting(backendReplays)},
	)
}

// lasting reads nothing if instances come and go. A new instance would take over the name of an old
// one with a lower counter, which Prometheus takes for a restart from 0.
func lasting(read reader) reader {
	return func(s *bridge.Snapshot, out sink) {
		if s.Processes == nil {
			read(s, out)
		}
	}
}

// total sums a counter over all instances, removed ones included.
func total(s *bridge.Snapshot, value func(*pool.Counters) uint64) uint64 {
	n := value(&s.Pool.Removed.Counters)
	for i := range s.Pool.Instances {
		n += value(&s.Pool.Instances[i].Counters)
	}
	return n
}

func poolReplays(s *bridge.Snapshot, out sink) {
	reasons := maps.Clone(s.Pool.Removed.Replays)
	if reasons == nil {
		reasons = map[string]uint64{}
	}
	for _, in := range s.Pool.Instances {
		for reason, n := range in.Replays {
			reasons[reason] += n
		}
	}
	for reason, n := range reasons {
		out.value(float64(n), reason)
	}
}

func backendReplays(s *bridge.Snapshot, out sink) {
	for _, in := range s.Pool.Instances {
		for reason, n := range in.Replays {
			out.value(float64(n), out.names[in.Addr], reason)
		}
	}
}

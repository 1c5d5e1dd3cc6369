package metrics

import (
	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

var backendStates = []string{"unknown", "up", "full", "down", "draining"}

func poolFamilies() []family {
	backend := []string{"backend"}
	return []family{
		{
			"pool_requests_waiting", gauge, "Requests that have a worker and wait for a connection.", nil,
			single(func(s *bridge.Snapshot) int { return s.Pool.Waiting }),
		},
		{
			"pool_removed_instances_total", counter, "Instances that are sent nothing any more.", nil,
			single(func(s *bridge.Snapshot) uint64 { return s.Pool.Removed.Instances }),
		},
		{
			"backend_state", gauge, "1 for the state of an instance: unknown, up, full, down or draining.",
			[]string{"backend", "state"},
			backendState,
		},
		{
			"backend_workers", gauge, "Requests an instance can hold at once, as configured.", backend,
			backends(func(in *pool.InstanceSnapshot) int { return in.Workers }),
		},
		{
			"backend_observed_workers", gauge, "Requests an instance is believed to hold at once now.", backend,
			backends(func(in *pool.InstanceSnapshot) int { return in.Observed }),
		},
		{
			"backend_workers_limit", gauge, "Requests this process may have at an instance at once: fewer than its workers while others share them.", backend,
			backends(func(in *pool.InstanceSnapshot) int { return in.Limit }),
		},
		{
			"backend_connections", gauge, "Connections to an instance: dialing, busy, idle, at_work or closing.",
			[]string{"backend", "state"},
			connections,
		},
		{
			"backend_requests_in_flight", gauge, "Requests in progress, more than busy connections if they share them.", backend,
			backends(func(in *pool.InstanceSnapshot) int { return in.Requests }),
		},
		{
			"backend_requests_abandoned", gauge, "Requests in progress for nobody: the client left, or the time was up.", backend,
			backends(func(in *pool.InstanceSnapshot) int { return in.Zombies }),
		},
		{
			"backend_keeps_connections", gauge, "1 if connections carry more than one request, 0 if not, or not known yet.", backend,
			backends(func(in *pool.InstanceSnapshot) float64 { return truth(in.KeepAlive == "on") }),
		},
		{
			"backend_multiplexes", gauge, "1 if requests may share connections, 0 if not, or not known yet.", backend,
			backends(func(in *pool.InstanceSnapshot) float64 { return truth(in.Multiplex == "on") }),
		},
		{
			"backend_retires_connections", gauge, "1 if the instance closes kept connections of its own accord.", backend,
			backends(func(in *pool.InstanceSnapshot) float64 { return truth(in.ClosesIdle) }),
		},
		{
			"backend_closes_connections", gauge, "1 if the instance closes every connection after its answer.", backend,
			backends(func(in *pool.InstanceSnapshot) float64 { return truth(in.ClosesAlways) }),
		},
		{
			"backend_accept_queue_connections", gauge, "Connections nobody has accepted. No series where the system does not tell.", backend,
			queues(func(q *pool.QueueSnapshot) int { return q.Depth }),
		},
		{
			"backend_accept_queue_limit", gauge, "How many connections there can be that nobody has accepted.", backend,
			queues(func(q *pool.QueueSnapshot) int { return q.Backlog }),
		},
		{
			"backend_last_dial_error_timestamp_seconds", gauge, "When connecting failed last. No series if it never did.", backend,
			func(s *bridge.Snapshot, out sink) {
				for _, in := range s.Pool.Instances {
					out.timestamp(in.LastErrorAt, out.names[in.Addr])
				}
			},
		},
	}
}

// backends reads one value of each instance.
func backends[N number](value func(*pool.InstanceSnapshot) N) reader {
	return func(s *bridge.Snapshot, out sink) {
		for i := range s.Pool.Instances {
			in := &s.Pool.Instances[i]
			out.value(float64(value(in)), out.names[in.Addr])
		}
	}
}

// queues reads one value of each accept queue that is known.
func queues[N number](value func(*pool.QueueSnapshot) N) reader {
	return func(s *bridge.Snapshot, out sink) {
		for _, in := range s.Pool.Instances {
			if in.AcceptQueue != nil {
				out.value(float64(value(in.AcceptQueue)), out.names[in.Addr])
			}
		}
	}
}

func backendState(s *bridge.Snapshot, out sink) {
	for _, in := range s.Pool.Instances {
		out.state(in.State, backendStates, out.names[in.Addr])
	}
}

func connections(s *bridge.Snapshot, out sink) {
	for _, in := range s.Pool.Instances {
		out.value(float64(in.Dialing), out.names[in.Addr], "dialing")
		out.value(float64(in.Busy), out.names[in.Addr], "busy")
		out.value(float64(in.Idle), out.names[in.Addr], "idle")
		out.value(float64(in.AtWork), out.names[in.Addr], "at_work")
		out.value(float64(in.Closing), out.names[in.Addr], "closing")
	}
}

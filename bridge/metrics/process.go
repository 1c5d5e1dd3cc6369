package metrics

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

var processStates = []string{
	"waiting", "starting", "ready", "serving", "draining", "ending", "asleep", "broken", "probing", "closed",
}

// processFamilies returns the metrics of each instance of an application that Sluice starts.
func processFamilies() []family {
	backend := []string{"backend"}
	return []family{
		{
			"process_state", gauge, "1 for the state of an instance's process.",
			[]string{"backend", "state"},
			eachProcess(func(p *supervise.InstanceSnapshot, out sink) { out.state(p.State, processStates, out.names[p.Addr]) }),
		},
		{
			"process_up", gauge, "1 if the instance's process runs.", backend,
			processes(func(p *supervise.InstanceSnapshot) float64 { return truth(p.PID != 0) }),
		},
		{
			"process_state_since_timestamp_seconds", gauge, "Since when it is in that state.", backend,
			processTime(func(p *supervise.InstanceSnapshot) time.Time { return p.Since }),
		},
		{
			"process_start_timestamp_seconds", gauge, "When the process there is, or was last, was started.", backend,
			processTime(func(p *supervise.InstanceSnapshot) time.Time { return p.Begun }),
		},
		{
			"process_next_start_timestamp_seconds", gauge, "When the next process will be started. No series while that is not planned.", backend,
			processTime(func(p *supervise.InstanceSnapshot) time.Time { return p.Next }),
		},
		{
			"process_restarts", gauge, "Processes of the instance that were started after its first.", backend,
			processes(func(p *supervise.InstanceSnapshot) int { return p.Restarts }),
		},
		{
			"process_answered_requests", gauge, "Requests that the process there is has answered.", backend,
			processes(func(p *supervise.InstanceSnapshot) uint64 { return p.Answered }),
		},
		{
			"process_outdated", gauge, "1 for why the process is to be replaced. No series if it is not.",
			[]string{"backend", "reason"},
			eachProcess(func(p *supervise.InstanceSnapshot, out sink) {
				if p.Outdated != "" {
					out.value(1, out.names[p.Addr], p.Outdated)
				}
			}),
		},
		{
			"process_memory_bytes", gauge, "Memory of the instance, as its limits count. No series without a limit.", backend,
			eachProcess(func(p *supervise.InstanceSnapshot, out sink) {
				if p.Memory > 0 {
					out.value(float64(p.Memory), out.names[p.Addr])
				}
			}),
		},
		{
			"process_members", gauge, "Processes in the process group.", backend,
			usage(func(u *supervise.Usage) int { return u.Processes }),
		},
		{
			"process_threads", gauge, "Threads of the process group.", backend,
			usage(func(u *supervise.Usage) int { return u.Threads }),
		},
		{
			"process_cpu_seconds", gauge, "CPU time that the processes there are in the group have used. It falls when one ends.", backend,
			usage(func(u *supervise.Usage) float64 { return u.CPU }),
		},
		{
			"process_resident_memory_bytes", gauge, "Memory of the process group; what processes share counts for each.", backend,
			usage(func(u *supervise.Usage) uint64 { return u.RSS }),
		},
		{
			"process_proportional_memory_bytes", gauge, "Memory of the process group; what processes share is shared out. 0: not known.", backend,
			usage(func(u *supervise.Usage) uint64 { return u.PSS }),
		},
		{
			"process_open_files", gauge, "Open files of the process in the group that is nearest to its limit.", backend,
			usage(func(u *supervise.Usage) int { return u.OpenFiles }),
		},
		{
			"process_open_files_limit", gauge, "How many files that process may have open.", backend,
			usage(func(u *supervise.Usage) uint64 { return u.OpenFilesLimit }),
		},
	}
}

func eachProcess(read func(*supervise.InstanceSnapshot, sink)) reader {
	return func(s *bridge.Snapshot, out sink) {
		if s.Processes == nil {
			return
		}
		for i := range s.Processes.Instances {
			read(&s.Processes.Instances[i], out)
		}
	}
}

// processes reads one value of each instance.
func processes[N number](value func(*supervise.InstanceSnapshot) N) reader {
	return eachProcess(func(p *supervise.InstanceSnapshot, out sink) { out.value(float64(value(p)), out.names[p.Addr]) })
}

func processTime(value func(*supervise.InstanceSnapshot) time.Time) reader {
	return eachProcess(func(p *supervise.InstanceSnapshot, out sink) { out.timestamp(value(p), out.names[p.Addr]) })
}

// usage reads one value of each instance whose usage is known.
func usage[N number](value func(*supervise.Usage) N) reader {
	return eachProcess(func(p *supervise.InstanceSnapshot, out sink) {
		if p.Usage != nil {
			out.value(float64(value(p.Usage)), out.names[p.Addr])
		}
	})
}

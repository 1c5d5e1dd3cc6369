package metrics

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// spawned returns a snapshot of an application that Sluice has started.
func spawned(processes []supervise.InstanceSnapshot, addrs ...string) bridge.Snapshot {
	s := bridge.Snapshot{Processes: &supervise.Snapshot{Instances: processes}}
	for _, a := range addrs {
		s.Pool.Instances = append(s.Pool.Instances, pool.InstanceSnapshot{Addr: a})
	}
	return s
}

func TestNames(t *testing.T) {
	type instances = []supervise.InstanceSnapshot
	for name, c := range map[string]struct {
		s    bridge.Snapshot
		want names
	}{
		"addresses": {
			bridge.Snapshot{Pool: pool.Snapshot{Instances: []pool.InstanceSnapshot{{Addr: "unix:/a"}, {Addr: "unix:/b"}}}},
			names{"unix:/a": "unix:/a", "unix:/b": "unix:/b"},
		},
		"numbers": {
			spawned(instances{{Addr: "a", Number: 1, State: "serving"}, {Addr: "b", Number: 0, State: "starting"}}, "a", "b"),
			names{"a": "1", "b": "0"},
		},
		"only the pool knows them": {
			spawned(instances{{Addr: "b", State: "serving"}}, "x", "b", "y"),
			names{"x": "unknown", "b": "0", "y": "unknown-2"},
		},
		"not even UTF-8, and no longer different": {
			bridge.Snapshot{Pool: pool.Snapshot{Instances: []pool.InstanceSnapshot{{Addr: "\xff"}, {Addr: "\xfe"}}}},
			names{"\xff": "\uFFFD", "\xfe": "\uFFFD-2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := nameInstances(&c.s); !maps.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestReplacedInstancesAddNoSeries replaces an instance again and again. Each new one has a new
// address, and the number of the last but one.
func TestReplacedInstancesAddNoSeries(t *testing.T) {
	series, afterTwo := map[string]bool{}, 0
	for i := range 100 {
		addr := fmt.Sprintf("unix:/run/%d.sock", i)
		next := fmt.Sprintf("unix:/run/%d.sock", i+1)
		s := spawned([]supervise.InstanceSnapshot{
			{Addr: addr, Number: i % 2, State: "draining"}, {Addr: next, Number: (i + 1) % 2, State: "ready"},
		}, addr, next)
		for line := range strings.Lines(scrape(t, New(of(s), Options{}))) {
			if !strings.HasPrefix(line, "#") {
				series[line[:strings.LastIndex(line, " ")]] = true
			}
		}
		if i == 1 {
			afterTwo = len(series)
		}
	}
	if len(series) != afterTwo {
		t.Errorf("%d series after 100 replacements, %d after two", len(series), afterTwo)
	}
	for s := range series {
		if strings.HasPrefix(s, "sluice_backend_") && strings.Contains(s, "_total{") {
			t.Errorf("%s: a counter of an instance that goes", s)
		}
	}
}

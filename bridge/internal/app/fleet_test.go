package app

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/fleet"
)

func TestFleetSettings(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	a := config.Application{Backends: []string{"unix:/a.sock", "unix:/b.sock"}, Workers: 4, Fleet: config.Fleet{Engine: "redis://127.0.0.1:6379"}}
	if err := Complete(&a); err != nil {
		t.Fatal(err)
	}
	want := config.Fleet{
		Engine: "redis://127.0.0.1:6379", Gates: 2, Name: host, Application: "unix:/a.sock,unix:/b.sock",
		Settle: config.Duration(30 * time.Second), Forget: config.Duration(10 * time.Minute),
	}
	if a.Fleet != want {
		t.Errorf("%+v, want %+v", a.Fleet, want)
	}
	for _, c := range []struct {
		fleet config.Fleet
		spawn bool
		want  string
	}{
		{config.Fleet{Engine: "localhost:6379"}, false, "fleet.engine: want redis://"},
		{config.Fleet{Engine: "http://:secret@localhost"}, false, "fleet.engine: want redis://"},
		{config.Fleet{Engine: "redis://h", Gates: 5}, false, "fleet.gates: is 5, and the application has 4 workers"},
		{config.Fleet{Engine: "redis://h", Gates: -1}, false, "fleet.gates: is -1, must not be negative"},
		{config.Fleet{Engine: "redis://h", Name: "a b"}, false, `fleet.name: is "a b", must have no spaces`},
		{config.Fleet{Engine: "redis://h", Application: "a\n"}, false, `fleet.application: is "a\n", must have no spaces`},
		{config.Fleet{Name: "a"}, false, "fleet.engine: none given"},
		{config.Fleet{Engine: "redis://h"}, true, "fleet.engine: given, and so is spawn"},
	} {
		a := config.Application{Backends: []string{"unix:/a.sock"}, Workers: 4, Fleet: c.fleet}
		if c.spawn {
			a.Backends, a.Spawn = nil, &config.Spawn{Command: []string{"./app"}}
		}
		if err := Complete(&a); err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, want %s", c.fleet, err, c.want)
		}
	}
}

// The queue that a moment without workers has left does not count as need of as many.
func TestFleetUsage(t *testing.T) {
	for name, c := range map[string]struct {
		sample    admission.Sample
		instances int
		want      fleet.Usage
	}{
		"idle":             {admission.Sample{Capacity: 8}, 1, fleet.Usage{}},
		"starved":          {admission.Sample{Capacity: 2, InUse: 2, Long: 2, Waiting: 100, Parked: 10, ShortNeed: 3}, 1, fleet.Usage{Short: 4, Wanted: 112}},
		"busy":             {admission.Sample{Capacity: 8, InUse: 8, Long: 2, Waiting: 100, ShortNeed: 12}, 1, fleet.Usage{Short: 13, Wanted: 108}},
		"nothing is known": {admission.Sample{Capacity: 8, InUse: 5, Waiting: 9}, 1, fleet.Usage{Short: 6, Wanted: 14}},
		"few wait":         {admission.Sample{Capacity: 8, InUse: 1, Waiting: 1, ShortNeed: 6}, 1, fleet.Usage{Short: 2, Wanted: 2}},
		"two instances":    {admission.Sample{Capacity: 8, InUse: 5, Waiting: 9}, 2, fleet.Usage{Short: 3, Wanted: 7}},
	} {
		if got := usage(c.sample, 0, c.instances); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

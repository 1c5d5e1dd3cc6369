package app

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
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

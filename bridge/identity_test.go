package bridge

import (
	"testing"
	"time"
)

func TestAgree(t *testing.T) {
	base := func() ApplicationConfig { return ApplicationConfig{Backends: []string{"unix:/a"}} }
	app := func() ApplicationConfig { return ApplicationConfig{Spawn: &SpawnConfig{Command: []string{"x"}}} }
	for _, c := range []struct {
		of     func() ApplicationConfig
		change func(*ApplicationConfig)
		want   string
	}{
		{base, func(c *ApplicationConfig) { c.Workers = 4; c.Queue.Size = 256 }, ""}, // the defaults
		{base, func(c *ApplicationConfig) { c.Preset, c.Multiplex = "app", Auto }, ""},
		{base, func(c *ApplicationConfig) { c.Backends = []string{"unix//a"} }, ""},
		{base, func(c *ApplicationConfig) { c.Workers = 8 }, "workers: is 4 and 8"},
		{base, func(c *ApplicationConfig) { c.Reserve = new(0) }, "reserve: is 2 and 0"},
		{base, func(c *ApplicationConfig) { c.Queue.Timeout = Duration(time.Minute) }, "queue.timeout: is 3s and 1m0s"},
		{base, func(c *ApplicationConfig) { c.Admission.Unknown = 1 }, "admission.unknown: is 2 and 1"},
		{base, func(c *ApplicationConfig) { c.Spool.Memory = 1 }, "spool.memory: is 64MiB and 1B"},
		{base, func(c *ApplicationConfig) { c.Lanes = Off }, "lanes: is on and off"},
		{base, func(c *ApplicationConfig) { c.Preset = "php" }, "preset: is app and php"},
		{base, func(c *ApplicationConfig) { c.Backends = []string{"unix:/b"} }, "backends: differs"},
		{base, func(c *ApplicationConfig) { c.Workers = -1 }, "workers: is -1, must not be negative"},
		{app, func(c *ApplicationConfig) { c.Spawn.MaxRequests = 9 }, "spawn.max_requests: is 0 and 9"},
		{app, func(c *ApplicationConfig) { c.Spawn.Umask = new(Umask(0o27)) }, "spawn.umask: is not set and 027"},
		{app, func(c *ApplicationConfig) { c.Spawn.Env = map[string]string{"PASSWORD": "geheim"} }, "spawn.env: differs"},
	} {
		one, two := c.of(), c.of()
		c.change(&two)
		err := Agree(one, two)
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

package bridge

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestIdentity(t *testing.T) {
	spawn := func(change func(*SpawnConfig)) Config {
		s := &SpawnConfig{Command: []string{"./app", "-x"}}
		change(s)
		return Config{Spawn: s}
	}
	base := Config{Backends: []string{"unix:/a", ":9000"}}
	app := spawn(func(*SpawnConfig) {})
	for name, c := range map[string]struct {
		one, two Config
		same     bool
	}{
		"order":       {base, Config{Backends: []string{":9000", "unix:/a"}}, true},
		"spelling":    {base, Config{Backends: []string{"unix//a", "127.0.0.1:9000"}}, true},
		"knobs":       {base, Config{Backends: base.Backends, Workers: 9, Mount: "/m", Lanes: Off}, true},
		"one less":    {base, Config{Backends: []string{"unix:/a"}}, false},
		"spawned":     {base, app, false},
		"more of it":  {app, spawn(func(s *SpawnConfig) { s.Instances, s.MemorySoft, s.Ready, s.Reexec = 9, 1<<30, "/", true }), true},
		"arguments":   {app, spawn(func(s *SpawnConfig) { s.Command = []string{"./app"} }), false},
		"user":        {app, spawn(func(s *SpawnConfig) { s.User = "www" }), false},
		"environment": {app, spawn(func(s *SpawnConfig) { s.Env = map[string]string{"A": "b"} }), false},
	} {
		if got := c.one.Identity() == c.two.Identity(); got != c.same {
			t.Errorf("%s: %s and %s", name, c.one.Identity(), c.two.Identity())
		}
	}
}

func TestAgreesWith(t *testing.T) {
	base := func() Config { return Config{Backends: []string{"unix:/a"}} }
	app := func() Config { return Config{Spawn: &SpawnConfig{Command: []string{"x"}}} }
	for _, c := range []struct {
		of     func() Config
		change func(*Config)
		want   string
	}{
		{base, func(c *Config) { c.Workers = 4; c.Queue.Size = 256 }, ""}, // the defaults
		{base, func(c *Config) {
			c.Mount, c.LongPoll, c.Timeouts.FirstByte, c.Flow.Key, c.Preset = "/m", []string{"/p"}, 1, "off", "app"
			c.Queue.PollAnswer.Status = 204
		}, ""},
		{base, func(c *Config) { c.Backends = []string{"unix//a"} }, ""},
		{base, func(c *Config) { c.Workers = 8 }, "workers: is 4 and 8"},
		{base, func(c *Config) { c.Reserve = new(0) }, "reserve: is 2 and 0"},
		{base, func(c *Config) { c.Queue.Timeout = Duration(time.Minute) }, "queue.timeout: is 3s and 1m0s"},
		{base, func(c *Config) { c.Admission.Unknown = 1 }, "admission.unknown: is 2 and 1"},
		{base, func(c *Config) { c.Spool.Memory = 1 }, "spool.memory: is 0 and 1"},
		{base, func(c *Config) { c.Lanes = Off }, "lanes: is on and off"},
		{base, func(c *Config) { c.Preset, c.Root = "php", "/" }, "preset: is app and php"},
		{base, func(c *Config) { c.Backends = []string{"unix:/b"} }, "backends: differs"},
		{base, func(c *Config) { c.Workers = -1 }, "workers: is -1, must not be negative"},
		{app, func(c *Config) { c.Spawn.MaxRequests = 9 }, "spawn.max_requests: is 0 and 9"},
		{app, func(c *Config) { c.Spawn.Umask = new(Umask(0o27)) }, "spawn.umask: is not set and 027"},
		{app, func(c *Config) { c.Spawn.Env = map[string]string{"PASSWORD": "geheim"} }, "spawn.env: differs"},
	} {
		one, two := c.of(), c.of()
		c.change(&two)
		err := one.AgreesWith(two)
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// Every key of a Config is the backend's or a site's.
func TestEveryKeyHasItsPlace(t *testing.T) {
	ofSites := []string{
		"mount", "root", "resolve_root_symlink", "app_root", "check_files", "virtual", "follow", "index", "fallback",
		"static", "static_types", "static_dirs", "hide", "env", "trusted_proxies", "user_header", "underscore_headers", "sendfile",
		"max_body", "max_params", "max_response_header", "request_buffering", "long_poll",
		"queue.poll_answer", "flow.key", "flow.max_addresses", "flow.per", "flow.excess",
		"timeouts.first_byte", "timeouts.between_bytes", "timeouts.request", "timeouts.abandoned", "timeouts.client",
	}
	var ofBackends []string // preset is of both
	c := Config{Backends: []string{"unix:/a"}, Spawn: &SpawnConfig{}}
	for _, s := range c.common() {
		ofBackends = append(ofBackends, s.key)
	}
	for _, key := range keysOf("", reflect.TypeFor[Config]()) {
		if slices.Contains(ofSites, key) == slices.Contains(ofBackends, key) {
			t.Errorf("%s: whose is it?", key)
		}
	}
}

func keysOf(prefix string, of reflect.Type) (keys []string) {
	for f := range of.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case !f.IsExported() || key == "-":
		case key == "queue", key == "flow", key == "admission", key == "timeouts", key == "spool":
			keys = append(keys, keysOf(key+".", f.Type)...)
		case key == "spawn":
			keys = append(keys, keysOf(key+".", f.Type.Elem())...)
		default:
			keys = append(keys, prefix+key)
		}
	}
	return keys
}

package config

import "testing"

func TestIdentity(t *testing.T) {
	spawn := func(change func(*Spawn)) Application {
		s := &Spawn{Command: []string{"./app", "-x"}}
		change(s)
		return Application{Spawn: s}
	}
	base := Application{Backends: []string{"unix:/a", ":9000"}}
	app := spawn(func(*Spawn) {})
	for name, c := range map[string]struct {
		one, two Application
		same     bool
	}{
		"order":       {base, Application{Backends: []string{":9000", "unix:/a"}}, true},
		"spelling":    {base, Application{Backends: []string{"unix//a", "127.0.0.1:9000"}}, true},
		"knobs":       {base, Application{Backends: base.Backends, Workers: 9, Lanes: Off}, true},
		"one less":    {base, Application{Backends: []string{"unix:/a"}}, false},
		"spawned":     {base, app, false},
		"more of it":  {app, spawn(func(s *Spawn) { s.Instances, s.MemorySoft, s.Ready = 9, 1<<30, "/" }), true},
		"arguments":   {app, spawn(func(s *Spawn) { s.Command = []string{"./app"} }), false},
		"user":        {app, spawn(func(s *Spawn) { s.User = "www" }), false},
		"environment": {app, spawn(func(s *Spawn) { s.Env = map[string]string{"A": "b"} }), false},
	} {
		if got := c.one.Identity() == c.two.Identity(); got != c.same {
			t.Errorf("%s: %s and %s", name, c.one.Identity(), c.two.Identity())
		}
	}
}

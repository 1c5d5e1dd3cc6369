package config

import (
	"slices"
	"testing"
)

func TestUsualIndex(t *testing.T) {
	for _, c := range []struct {
		site Site
		want []string
	}{
		{Site{}, []string{"index.php", "index.html"}},
		{Site{CheckFiles: On, Static: "all"}, []string{"index.php", "index.html"}},
		{Site{CheckFiles: Off}, []string{"index.php"}},
		{Site{Static: "off"}, []string{"index.php"}},
		{Site{Static: "off", Index: []string{"a.php"}}, []string{"a.php"}},
	} {
		if got := c.site.UsualIndex(); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.site, got, c.want)
		}
	}
}

// Complete resolves auto, and does not change what it was given.
func TestComplete(t *testing.T) {
	for _, c := range []struct {
		app  Application
		want Switch
	}{
		{Application{}, Auto},
		{Application{Multiplex: On}, On},
		{Application{KeepAlive: Off}, Off},
		{Application{Preset: "php"}, Off},
	} {
		spawn := Spawn{Command: []string{"./app"}, Instances: 3}
		c.app.Spawn = &spawn
		if err := c.app.Complete(); err != nil || c.app.Multiplex != c.want || c.app.AllWorkers() != 12 {
			t.Errorf("%v, multiplex %s, want %s, %d workers", err, c.app.Multiplex, c.want, c.app.AllWorkers())
		}
		if spawn.MaxInstances != 0 || c.app.Spawn.MaxInstances != 3 {
			t.Errorf("given %+v, completed %+v", spawn, c.app.Spawn)
		}
	}
}

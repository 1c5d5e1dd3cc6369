package config

import (
	"strings"
	"testing"
)

func TestHoldDefaults(t *testing.T) {
	a := Application{Backends: []string{"unix:/a"}, Workers: 16, Hold: &Hold{KeyFile: "/key", Clients: 100}}
	given := a.Hold
	if err := a.Complete(); err != nil {
		t.Fatal(err)
	}
	want := Hold{KeyFile: "/key", Clients: 100, ClientLimit: 25, ChannelLimit: 100, Channels: 16, Message: 64 << 10, Backlog: 256 << 10, Recover: 2, PublishRate: 1000}
	if *a.Hold != want || given.ClientLimit != 0 {
		t.Errorf("%+v (given: %+v), want %+v", *a.Hold, *given, want)
	}
}

func TestHoldMistakes(t *testing.T) {
	for want, h := range map[string]Hold{
		"hold.key_file: none given":                      {Clients: 5},
		"hold.recover: is 5, and there are 4 workers":    {KeyFile: "/key", Recover: 5},
		"hold.backlog: is 10 bytes, and hold.message":    {KeyFile: "/key", Backlog: 10},
		"hold.clients: is -1, must not be negative":      {KeyFile: "/key", Clients: -1},
		"hold.publish_rate: is -1, must not be negative": {KeyFile: "/key", PublishRate: -1},
	} {
		a := Application{Backends: []string{"unix:/a"}, Workers: 4, Hold: &h}
		if err := a.Complete(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", h, err, want)
		}
	}
}

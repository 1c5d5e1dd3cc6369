package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseOptions(t *testing.T) {
	got, err := parseOptions([]string{"--rounds", "3", "--duration=10s", "--peers", "caddy,nginx", "--scenarios", "large", "--parked", "20,50", "--baseline", "caddy", "--out", "x.md"})
	if err != nil {
		t.Fatal(err)
	}
	if got.rounds != 3 || got.duration != 10*time.Second || got.connections != 64 || got.out != "x.md" {
		t.Errorf("got %+v", got)
	}
	if !slices.Equal(got.parked, []int{20, 50}) || got.baseline != "caddy" {
		t.Errorf("parked %v, baseline %q", got.parked, got.baseline)
	}
	if p := names(got.peers, peer.name); !slices.Equal(p, []string{"caddy", "nginx"}) {
		t.Errorf("peers %v: want them in the order given", p)
	}
	if s := names(got.scenarios, scenario.name); !slices.Equal(s, []string{"large"}) {
		t.Errorf("scenarios %v", s)
	}
}

func TestDefaultRunIsBounded(t *testing.T) {
	got, err := parseOptions(nil)
	if err != nil {
		t.Fatal(err)
	}
	if load := planned(got); load > 150*time.Second {
		t.Errorf("the default run puts load on for %v; with its start it must stay under three minutes", load)
	}
}

// planned is how long there is load in the rounds and beside the crowds.
func planned(o options) time.Duration {
	turns := len(o.peers) * len(o.scenarios) * (o.rounds + 1)
	return time.Duration(turns)*o.duration + time.Duration(len(o.peers)*len(o.crowds))*o.crowdFor
}

func TestWholeRunIsBounded(t *testing.T) {
	got, err := parseOptions([]string{"--all", "--rounds", "2"})
	if err != nil {
		t.Fatal(err)
	}
	if got.rounds != 2 || len(got.scenarios) != 6 || len(got.crowds) != 2 || !slices.Equal(got.parked, []int{5000, 15000}) {
		t.Errorf("got %+v", got)
	}
	got.rounds = 3
	if load := planned(got); load > 15*time.Minute {
		t.Errorf("the whole run puts load on for %v; with the long-polls it must stay under twenty minutes", load)
	}
}

func TestFronts(t *testing.T) {
	got, err := parseOptions([]string{"--peers", "sluice-64,nginx", "--front", "net,loop"})
	if err != nil {
		t.Fatal(err)
	}
	if p := names(got.peers, peer.name); !slices.Equal(p, []string{"sluice-64-net", "sluice-64-loop", "nginx"}) {
		t.Errorf("peers %v", p)
	}
	argv := got.peers[1].argv(site{})
	if !slices.Equal(argv[len(argv)-2:], []string{"--front", "loop"}) {
		t.Errorf("arguments %v", argv)
	}
}

func TestParseOptionsRefuses(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"--duratoin 3s", "not defined: -duratoin"},
		{"--rounds 0", "--rounds 0"},
		{"--duration 1500ms", "whole seconds"},
		{"--duration 0s", "whole seconds"},
		{"--connections 0", "--connections 0"},
		{"--peers apache2", `no "apache2", only sluice-64`},
		{"--peers nginx,nginx", "twice"},
		{"--scenarios tiny", `no "tiny", only small`},
		{"--baseline apache2", `no "apache2"`},
		{"--parked 10,few", `"few" is not a number`},
		{"--crowds fans", `no "fans", only starvation`},
		{"--parked 0", `"0" is not a number`},
		{"nginx", `unexpected argument "nginx"`},
	} {
		_, err := parseOptions(strings.Fields(tc.args))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q in it", tc.args, err, tc.want)
		}
	}
}

func TestUsageNamesEveryFlag(t *testing.T) {
	text := usage()
	for _, name := range []string{"--rounds", "--duration", "--connections", "--peers", "--scenarios", "--baseline", "--parked", "--crowds", "--front", "--all", "--docs", "--out"} {
		if !strings.Contains(text, name+" ") {
			t.Errorf("%s is missing in\n%s", name, text)
		}
	}
}

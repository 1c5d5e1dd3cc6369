package main

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// parsed is what a command line is parsed to, before it is completed.
func parsed(t *testing.T, args ...string) *options {
	t.Helper()
	o := new(options)
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	o.register(f)
	if err := f.Parse(args); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return o
}

// Without flags, and with those of a command, the defaults are the bridge's own.
func TestFlagDefaults(t *testing.T) {
	for _, command := range [][]string{nil, {"./app.fcgi", "-v"}} {
		o, want := parsed(t), config.Config{}
		if command == nil {
			o.Backends, want.Backends = []string{"unix:/run/app.sock"}, []string{"unix:/run/app.sock"}
		} else {
			want.Spawn = &config.Spawn{Command: command}
		}
		if err := o.complete(command); err != nil {
			t.Fatal(err)
		}
		if err := want.Application.Complete(); err != nil {
			t.Fatal(err)
		}
		if err := want.Site.Complete(); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(o.Config, want) {
			t.Errorf("%+v, want %+v", o.Config, want)
		}
	}
}

// Every flag sets the setting that it is of, and no other.
func TestEveryFlag(t *testing.T) {
	texts := []string{"7", "207", "7s", "3 per 7m", "7 per 8m", "022", "USR1", "NAME=value", "on"}
	for _, s := range config.Settings {
		if s.Flag == "" {
			continue
		}
		o := new(options)
		f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		o.register(f)
		if !slices.ContainsFunc(texts, func(text string) bool { return f.Set(s.Flag, text) == nil }) {
			t.Errorf("--%s takes none of %q", s.Flag, texts)
		}
		var keys map[string]any
		if text, err := json.Marshal(o.Config); err != nil || json.Unmarshal(text, &keys) != nil {
			t.Fatalf("%s, %v", text, err)
		}
		for name := range strings.SplitSeq(s.Key, ".") {
			if keys[name] == nil || len(keys) > 1 && name != "max_addresses" {
				t.Errorf("--%s: %v, want %s alone", s.Flag, keys, s.Key)
			}
			keys, _ = keys[name].(map[string]any)
		}
	}
}

// Values that are written in another way than in a Caddyfile.
func TestFlagValues(t *testing.T) {
	o := parsed(t, "--env", "A=b=c", "--env", "B=", "--command-env", "C=1", "--static-types", "zip,docx", "--static-types", "odt",
		"--long-poll", "/a,b", "--long-poll", "/c", "--client-max-addresses", "3 per 10m", "--client-key", "cookie sid",
		"--command-core", "0", "--command-spawn-budget", "7 per 8m stop", "--queue-timeout", "1s", "--queue-timeout", "2s", "--max-body", "1KiB")
	minute := config.Duration(time.Minute)
	want := config.Config{
		Application: config.Application{
			Spawn: &config.Spawn{Env: map[string]string{"C": "1"}, Core: new(uint64(0)), Budget: config.Budget{Spawns: 7, Per: 8 * minute, Stop: true}},
			Queue: config.Queue{Timeout: minute / 30},
		},
		Site: config.Site{
			Env: map[string]string{"A": "b=c", "B": ""}, StaticTypes: []string{"zip", "docx", "odt"}, LongPoll: []string{"/a,b", "/c"},
			Client: config.Client{Key: "cookie sid", MaxAddresses: 3, Per: 10 * minute}, MaxBody: 1 << 10,
		},
	}
	if !reflect.DeepEqual(o.Config, want) {
		t.Errorf("%+v, want %+v", o.Config, want)
	}
}

// A flag's former name sets the same, is not in the help, and the log tells the present name.
func TestFormerFlags(t *testing.T) {
	o := parsed(t, "--flow-key", "cookie sid", "--flow-max-addresses", "3 per 10m", "--flow-excess", "evict", "--flow-limit", "7")
	want := parsed(t, "--client-key", "cookie sid", "--client-max-addresses", "3 per 10m", "--client-excess", "evict", "--client-limit", "7")
	if !reflect.DeepEqual(o.Config, want.Config) || want.Client.Key == "" || len(want.written.Renamed()) > 0 {
		t.Errorf("%+v, want %+v", o.Config, want.Config)
	}
	if told := strings.Join(o.written.Renamed(), "; "); told != "--flow-key is now called --client-key; --flow-max-addresses is now called --client-max-addresses; "+
		"--flow-excess is now called --client-excess; --flow-limit is now called --client-limit" {
		t.Error(told)
	}
	if help := o.set.FlagUsages(); strings.Contains(help, "--flow-") || !strings.Contains(help, "--client-limit") {
		t.Error(help)
	}
}

// The access log says what the gate made of a request, where there is something to say.
func TestAccessLogOfTheGate(t *testing.T) {
	for _, c := range []struct {
		outcome bridge.Outcome
		lane    any
		refused any
	}{
		{bridge.Outcome{Status: 200, Lane: "short"}, "short", nil},
		{bridge.Outcome{Status: 503, Lane: "long", Refused: "timeout", ErrorType: "connection_limit_reached"}, "long", "timeout"},
		{bridge.Outcome{Status: 429, Refused: "addresses", ErrorType: "http_request_denied"}, nil, "addresses"},
		{bridge.Outcome{Status: 413}, nil, nil},
	} {
		var log bytes.Buffer
		newAccessLog(&log, config.AccessJSON).observe("", httptest.NewRequest("GET", "/poll", nil), &c.outcome)
		var line map[string]any
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line["lane"] != c.lane || line["refused"] != c.refused {
			t.Errorf("%+v: %s", c.outcome, &log)
		}
	}
}

package main

import (
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge"
)

// spawnOf is what a command line comes to.
func spawnOf(t *testing.T, args ...string) *bridge.SpawnConfig {
	t.Helper()
	var o options
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	o.register(f)
	if err := f.Parse(append(args, "--", "./app.fcgi", "-v")); err != nil {
		t.Fatal(err)
	}
	if err := o.complete(f.Args()); err != nil {
		t.Fatal(err)
	}
	return o.bridge().Spawn
}

// Without flags the command has the defaults that the help text states.
func TestCommandFlagDefaults(t *testing.T) {
	want := &bridge.SpawnConfig{
		Command: []string{"./app.fcgi", "-v"}, Instances: 1, MaxInstances: 1,
		StartTimeout: bridge.Duration(time.Minute), DrainTimeout: bridge.Duration(10 * time.Minute),
	}
	if got := spawnOf(t); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := configOf(t).Spawn; got != nil {
		t.Errorf("without a command there is %+v", got)
	}
}

func TestCommandFlags(t *testing.T) {
	got := spawnOf(t, "--command-dir", "/srv", "--command-env", "A=1", "--command-env-copy", "B", "--command-user", "app", "--command-group", "www",
		"--command-umask", "027", "--command-nice", "3", "--command-open-files", "4", "--command-core", "0", "--command-address-space", "5KiB",
		"--command-listen", ":0", "--command-backlog", "6", "--command-spawn-budget", "7 per 8m stop",
		"--command-instances", "9", "--command-max-instances", "10", "--command-start-timeout", "11s", "--command-ready", "/ready",
		"--command-max-requests", "12", "--command-max-lifetime", "13s", "--command-idle-shutdown", "14s", "--command-drain-timeout", "15s",
		"--command-memory-soft", "16MiB", "--command-memory-hard", "17MiB", "--command-memory-total", "18MiB",
		"--command-max-time", "19s", "--command-stall-kill", "20s", "--command-dump-signal", "usr1", "--command-quarantine", "21s")
	seconds := func(n int) bridge.Duration { return bridge.Duration(time.Duration(n) * time.Second) }
	want := &bridge.SpawnConfig{
		Command: []string{"./app.fcgi", "-v"}, Dir: "/srv", Env: map[string]string{"A": "1"}, EnvCopy: []string{"B"}, User: "app", Group: "www",
		Umask: new(bridge.Umask(0o27)), Nice: 3, OpenFiles: 4, Core: new(uint64(0)), AddressSpace: 5 << 10,
		Listen: ":0", Backlog: 6, Budget: bridge.SpawnBudget{Spawns: 7, Per: seconds(480), Stop: true},
		Instances: 9, MaxInstances: 10, StartTimeout: seconds(11), Ready: "/ready",
		MaxRequests: 12, MaxLifetime: seconds(13), IdleShutdown: seconds(14), DrainTimeout: seconds(15),
		MemorySoft: 16 << 20, MemoryHard: 17 << 20, MemoryTotal: 18 << 20,
		MaxTime: seconds(19), StallKill: seconds(20), DumpSignal: bridge.Signal(syscall.SIGUSR1), Quarantine: seconds(21),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	// None was forgotten here.
	v := reflect.ValueOf(*want)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not tested", v.Type().Field(i).Name)
		}
	}
}

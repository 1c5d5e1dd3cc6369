package supervise

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPlanErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	umask := 0o1000
	for want, cfg := range map[string]Config{
		"no command to run":               {Command: []string{}},
		"is it executable?":               {Command: []string{file}},
		"no-such-program":                 {Command: []string{"no-such-program"}},
		"working directory: stat /absent": {Dir: "/absent"},
		"is not a directory":              {Dir: file},
		"umask 01000: want 0 to 0777":     {Umask: &umask},
		"nice -21: want -20 to 19":        {Nice: -21},
		`listening address "80"`:          {Listen: "80"},
		`socket "fd": want`:               {Socket: "fd"},
		`"127.0.0.1:0": means nothing`:    {Socket: SocketPath, Listen: "127.0.0.1:0"},
		"backlog -1: must not":            {Backlog: -1},
		"need Reexec":                     {Nice: 1},
		"want NAME=value":                 {Env: []string{"A"}},
		"instances: is -1, must not":      {Instances: -1},
		"must not be less than the 3":     {Instances: 3, MaxInstances: 2},
		"only one instance can have that": {Instances: 2, Listen: "127.0.0.1:9000"},
		"stall kill: is -1s":              {StallKill: -1e9},
		"dump signal: is sent before":     {DumpSignal: 10},
		"soft memory limit of 1 bytes":    {Memory: Memory{Soft: 1}},
	} {
		if cfg.Command == nil {
			cfg.Command = []string{"sh"}
		}
		if _, err := cfg.plan(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", cfg, err, want)
		}
	}
}

func TestPlanDefaults(t *testing.T) {
	p, err := Config{Command: []string{"sh"}, Instances: 3, Listen: "127.0.0.1:0"}.plan()
	if err != nil {
		t.Fatal(err)
	}
	if p.MaxInstances != 3 || p.Workers != 1 || p.StartTimeout != time.Minute || p.DrainTimeout != 10*time.Minute || p.Front == nil ||
		p.SpawnBudget != (Budget{Spawns: 10, Per: 10 * time.Minute}) {
		t.Errorf("the plan is %+v", p.Config)
	}
}

package app

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// superviseOf is what the processes are kept by, for cfg.
func superviseOf(t *testing.T, cfg config.Application) supervise.Config {
	t.Helper()
	if err := Complete(&cfg); err != nil {
		t.Fatal(err)
	}
	return supervised(cfg.Spawn, cfg.Workers)
}

// Every setting gets where it belongs.
func TestSpawnSettings(t *testing.T) {
	const text = `{"spawn":{"command":["./app.fcgi","-v"],"dir":"/srv/app","env":{"A":"1","B":"2"},"env_copy":["APP_*"],` +
		`"user":"app","group":"www","umask":"027","nice":5,"open_files":1000,"core":0,"address_space":1001,"socket":"activation","listen":"127.0.0.1:0","backlog":1002,` +
		`"budget":"3 per 4m0s stop","instances":2,"max_instances":6,"start_timeout":"7s","ready":"/ready?x=1","max_requests":1003,` +
		`"max_lifetime":"8s","idle_shutdown":"9s","drain_timeout":"10s","memory_soft":1048576,"memory_hard":1048577,"memory_total":1048578,` +
		`"max_time":"11s","stall_kill":"12s","dump_signal":"QUIT","quarantine":"13s"},"workers":14,"queue":{},"client":{},"admission":{},"timeouts":{},"spool":{}}`
	var read config.Config
	if err := json.Unmarshal([]byte(text), &read); err != nil {
		t.Fatal(err)
	}
	c := read.Application
	want := supervise.Config{
		Command: []string{"./app.fcgi", "-v"}, Dir: "/srv/app", Env: []string{"A=1", "B=2"}, EnvCopy: []string{"APP_*"},
		User: "app", Group: "www", Umask: new(0o27), Nice: 5, Limits: supervise.Limits{OpenFiles: 1000, Core: new(uint64(0)), AddressSpace: 1001},
		Socket: supervise.SocketActivation,
		Listen: "127.0.0.1:0", Backlog: 1002, SpawnBudget: supervise.Budget{Spawns: 3, Per: 4 * time.Minute, Stop: true},
		Instances: 2, MaxInstances: 6, Workers: 14, StartTimeout: 7 * time.Second, MaxRequests: 1003, MaxLifetime: 8 * time.Second,
		IdleShutdown: 9 * time.Second, DrainTimeout: 10 * time.Second, Memory: supervise.Memory{Soft: 1 << 20, Hard: 1<<20 + 1, Total: 1<<20 + 2},
		MaxTime: 11 * time.Second, StallKill: 12 * time.Second, DumpSignal: syscall.SIGQUIT, Quarantine: 13 * time.Second,
	}
	if got := superviseOf(t, c); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	// None was forgotten here: all but what the program sets is something else than zero.
	v := reflect.ValueOf(want)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if set := slices.Contains([]string{"Front", "Ready", "TempDir", "Reexec", "Logger", "Events"}, name); v.Field(i).IsZero() != set {
			t.Errorf("%s is %v", name, v.Field(i))
		}
	}
	if c.Spawn.Instances != 2 || c.Backends != nil {
		t.Errorf("what was given is changed: %+v", c.Spawn)
	}
}

// The gate's workers are those of as many instances as there may be.
func TestSpawnWorkers(t *testing.T) {
	for want, s := range map[int]config.Spawn{
		5:  {},
		10: {Instances: 2},
		20: {MaxInstances: 4},
		15: {Instances: 2, MaxInstances: 3},
	} {
		s.Command = []string{"./app.fcgi"}
		c := config.Application{Workers: 5, Spawn: &s}
		if got := gateOf(t, c).Workers; got != want {
			t.Errorf("%+v: %d workers, want %d", s, got, want)
		}
	}
}

// setOrUnset sets a variable of this process's environment for a test, or unsets it.
func setOrUnset(t *testing.T, name, value string) {
	t.Helper()
	t.Setenv(name, value) // it is as it was after the test
	if value != "" {
		return
	}
	if err := os.Unsetenv(name); err != nil {
		t.Fatal(err)
	}
}

// uWSGI ends at SIGTERM, unless it is told otherwise.
func TestSpawnUWSGI(t *testing.T) {
	for want, s := range map[string]config.Spawn{
		"UWSGI_DIE_ON_TERM=true":     {Command: []string{"/usr/bin/uwsgi_python3"}},
		"A=1 UWSGI_DIE_ON_TERM=true": {Command: []string{"uwsgi"}, Env: map[string]string{"A": "1"}},
		"UWSGI_DIE_ON_TERM=false":    {Command: []string{"uwsgi"}, Env: map[string]string{"UWSGI_DIE_ON_TERM": "false"}},
		"":                           {Command: []string{"./uwsgi.fcgi/app"}},
	} {
		if got := superviseOf(t, config.Application{Spawn: &s}); strings.Join(got.Env, " ") != want {
			t.Errorf("%q, want %s", got.Env, want)
		}
	}
}

// PHP serves as many at once as there are workers, unless it is told otherwise.
func TestSpawnPHP(t *testing.T) {
	t.Setenv("PHP_FCGI_CHILDREN", "")
	for name, tc := range map[string]struct {
		spawn  config.Spawn
		ours   string // this process's PHP_FCGI_CHILDREN
		want   []string
		copied []string
	}{
		"php-cgi":  {config.Spawn{Command: []string{"/usr/bin/php-cgi8.2"}}, "", []string{"PHP_FCGI_CHILDREN=5"}, []string{"PHP_FCGI_*", "PHPRC"}},
		"told":     {config.Spawn{Command: []string{"php-cgi"}, Env: map[string]string{"PHP_FCGI_CHILDREN": "2"}}, "", []string{"PHP_FCGI_CHILDREN=2"}, []string{"PHP_FCGI_*", "PHPRC"}},
		"inherits": {config.Spawn{Command: []string{"php-cgi"}, EnvCopy: []string{"A"}}, "3", nil, []string{"A", "PHP_FCGI_*", "PHPRC"}},
		"no PHP":   {config.Spawn{Command: []string{"./app.fcgi"}}, "", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			setOrUnset(t, "PHP_FCGI_CHILDREN", tc.ours)
			got := superviseOf(t, config.Application{Workers: 5, Spawn: &tc.spawn})
			if !slices.Equal(got.Env, tc.want) || !slices.Equal(got.EnvCopy, tc.copied) {
				t.Errorf("%q, %q", got.Env, got.EnvCopy)
			}
		})
	}
}

func TestSpawnErrors(t *testing.T) {
	command := []string{"./app.fcgi"}
	for want, c := range map[string]config.Application{
		"backends: given, and so is spawn":                                 {Backends: []string{"unix:/a"}, Spawn: &config.Spawn{Command: command}},
		"backends: none given":                                             {},
		"spawn.command: none given":                                        {Spawn: &config.Spawn{}},
		"spawn.nice: is 20, want -20 to 19":                                {Spawn: &config.Spawn{Nice: 20}},
		"spawn.backlog: is -1":                                             {Spawn: &config.Spawn{Backlog: -1}},
		"spawn.instances: is -1":                                           {Spawn: &config.Spawn{Instances: -1}},
		"spawn.max_instances: is -1":                                       {Spawn: &config.Spawn{MaxInstances: -1}},
		"spawn.max_instances: is 2, and spawn.instances is 3":              {Spawn: &config.Spawn{Instances: 3, MaxInstances: 2}},
		"spawn.max_requests: is -1":                                        {Spawn: &config.Spawn{MaxRequests: -1}},
		"spawn.start_timeout: must not be":                                 {Spawn: &config.Spawn{StartTimeout: -1}},
		"spawn.max_lifetime: must not be":                                  {Spawn: &config.Spawn{MaxLifetime: -1}},
		"spawn.idle_shutdown: must not be":                                 {Spawn: &config.Spawn{IdleShutdown: -1}},
		"spawn.drain_timeout: must not be":                                 {Spawn: &config.Spawn{DrainTimeout: -1}},
		"spawn.max_time: must not be":                                      {Spawn: &config.Spawn{MaxTime: -1}},
		"spawn.stall_kill: must not be":                                    {Spawn: &config.Spawn{StallKill: -1}},
		"spawn.quarantine: must not be":                                    {Spawn: &config.Spawn{Quarantine: -1}},
		"spawn.budget: is -1":                                              {Spawn: &config.Spawn{Budget: config.Budget{Spawns: -1}}},
		"spawn.budget: must not be":                                        {Spawn: &config.Spawn{Budget: config.Budget{Per: -1}}},
		`spawn.listen: is "80", want host:port`:                            {Spawn: &config.Spawn{Listen: "80"}},
		`spawn.listen: is ":80", which is one socket`:                      {Spawn: &config.Spawn{Listen: ":80", MaxInstances: 2}},
		"spawn.memory_soft: is 1048575 bytes":                              {Spawn: &config.Spawn{MemorySoft: 1<<20 - 1}},
		"spawn.memory_hard: is 512 bytes":                                  {Spawn: &config.Spawn{MemoryHard: 512}},
		"spawn.memory_total: is 512 bytes":                                 {Spawn: &config.Spawn{MemoryTotal: 512}},
		"spawn.memory_soft: is 1048576, and spawn.memory_hard is 1048576":  {Spawn: &config.Spawn{MemorySoft: 1 << 20, MemoryHard: 1 << 20}},
		"spawn.memory_soft: is 1048576, and spawn.memory_total is 1048576": {Spawn: &config.Spawn{MemorySoft: 1 << 20, MemoryTotal: 1 << 20}},
		"spawn.memory_hard: is 1048577, and spawn.memory_total is 1048576": {Spawn: &config.Spawn{MemoryHard: 1<<20 + 1, MemoryTotal: 1 << 20}},
		"spawn.stall_kill: a plain queue":                                  {Lanes: config.Off, Spawn: &config.Spawn{StallKill: 1}},
		"spawn.dump_signal: means nothing":                                 {Spawn: &config.Spawn{DumpSignal: config.Signal(syscall.SIGQUIT), MaxTime: 1}},
		`spawn.ready: is "ready", want a path`:                             {Spawn: &config.Spawn{Ready: "ready"}},
		`spawn.ready: is "http://app/", want a path`:                       {Spawn: &config.Spawn{Ready: "http://app/"}},
		`spawn.ready: is "/%zz", want a path`:                              {Spawn: &config.Spawn{Ready: "/%zz"}},
		"reserve: is 9, want 0 to 7":                                       {Reserve: new(9), Spawn: &config.Spawn{Instances: 2}},
	} {
		if c.Spawn != nil && !strings.Contains(want, "command") {
			c.Spawn.Command = command
		}
		if err := Complete(&c); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// What is allowed at the edge of what is not.
func TestSpawnLimits(t *testing.T) {
	for _, s := range []config.Spawn{
		{Nice: -20},
		{Nice: 19},
		{Listen: "127.0.0.1:80"},
		{Listen: ":0", Instances: 2},
		{MemorySoft: 1 << 20, MemoryHard: 1<<20 + 1, MemoryTotal: 1<<20 + 1},
		{DumpSignal: config.Signal(syscall.SIGUSR1), StallKill: 1},
		{Ready: "/"},
	} {
		s.Command = []string{"./app.fcgi"}
		if err := Complete(&config.Application{Spawn: &s}); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

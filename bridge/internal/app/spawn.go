package app

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// supervised returns the configuration of the processes. workers is how many requests each of
// them processes at once.
func supervised(s *config.Spawn, workers int) supervise.Config {
	c := supervise.Config{
		Command: s.Command, Dir: s.Dir, EnvCopy: s.EnvCopy, User: s.User, Group: s.Group, Nice: s.Nice,
		Limits: supervise.Limits{OpenFiles: s.OpenFiles, Core: s.Core, AddressSpace: s.AddressSpace},
		Socket: supervise.SocketMode(s.Socket), Listen: s.Listen, Backlog: s.Backlog,
		SpawnBudget: supervise.Budget{Spawns: s.Budget.Spawns, Per: time.Duration(s.Budget.Per), Stop: s.Budget.Stop},
		Instances:   s.Instances, MaxInstances: s.MaxInstances, Workers: workers, StartTimeout: time.Duration(s.StartTimeout),
		MaxRequests: s.MaxRequests, MaxLifetime: time.Duration(s.MaxLifetime),
		IdleShutdown: time.Duration(s.IdleShutdown), DrainTimeout: time.Duration(s.DrainTimeout),
		Memory:  supervise.Memory{Soft: s.MemorySoft, Hard: s.MemoryHard, Total: s.MemoryTotal},
		MaxTime: time.Duration(s.MaxTime), StallKill: time.Duration(s.StallKill), DumpSignal: syscall.Signal(s.DumpSignal),
		Quarantine: time.Duration(s.Quarantine),
	}
	if s.Umask != nil {
		c.Umask = new(int(*s.Umask))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		c.Env = append(c.Env, name+"="+s.Env[name])
	}
	switch program := filepath.Base(s.Command[0]); {
	case strings.HasPrefix(program, "php"):
		forPHP(s, &c, workers)
	case strings.HasPrefix(program, "uwsgi"):
		forUWSGI(s, &c)
	}
	return c
}

// forUWSGI has uWSGI end at SIGTERM, at which it would start again: the option --die-on-term.
func forUWSGI(s *config.Spawn, c *supervise.Config) {
	const dieOnTerm = "UWSGI_DIE_ON_TERM"
	if _, given := s.Env[dieOnTerm]; !given {
		c.Env = append(c.Env, dieOnTerm+"=true")
	}
}

// forPHP lets PHP have its own variables, and as many children as there are workers,
// because without being told it serves one request at a time.
func forPHP(s *config.Spawn, c *supervise.Config, workers int) {
	const children = "PHP_FCGI_CHILDREN"
	c.EnvCopy = append(slices.Clone(c.EnvCopy), "PHP_FCGI_*", "PHPRC")
	_, given := s.Env[children]
	if _, ours := os.LookupEnv(children); !given && !ours {
		c.Env = append(c.Env, children+"="+strconv.Itoa(workers))
	}
}

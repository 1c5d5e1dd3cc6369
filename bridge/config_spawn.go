package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// SpawnConfig says what to run as the application, and how. Only Command must be set.
// docs/processes.md says what the values do together.
type SpawnConfig struct {
	// Command is the program and its arguments. It gets its listening socket as file
	// descriptor 0.
	Command []string `json:"command"`
	// Dir is its working directory. Default: this process's, or / if User may not enter that.
	Dir string `json:"dir,omitempty"`
	// Env holds variables of its environment. They win over everything inherited. Perl's FCGI
	// replaces the environment by the CGI variables of each request: see Config.Env.
	Env map[string]string `json:"env,omitempty"`
	// EnvCopy names further variables that it inherits; "TRAC_*" means all that begin so.
	// Without being named, PATH, HOME, USER, LOGNAME, LANG, LANGUAGE, LC_*, TZ and TMPDIR
	// are inherited; and PHP's own by PHP.
	EnvCopy []string `json:"env_copy,omitempty"`
	// User and Group are the user and group to run as, by name or number. Default: this
	// process's, and Group: those of User. Only root may change them, and should: without a
	// User the command runs as root, which the log says. They need Reexec.
	User  string `json:"user,omitempty"`
	Group string `json:"group,omitempty"`
	// Umask is the file mode creation mask, in octal: "027". Default: this process's. It
	// needs Reexec.
	Umask *Umask `json:"umask,omitempty"`
	// Nice is the nice value, -20 to 19. Default 0: this process's. It needs Reexec.
	Nice int `json:"nice,omitempty"`
	// OpenFiles is how many files it may have open. Default: 65536, or the hard limit if
	// that is less and this is not root; without Reexec this process's limit.
	OpenFiles uint64 `json:"open_files,omitempty"`
	// Core is the largest core dump, in bytes. Default: as it is for this process. It
	// needs Reexec.
	Core *uint64 `json:"core,omitempty"`
	// AddressSpace is how much each of its processes may map, in bytes. Default: as it is
	// for this process. It needs Reexec.
	AddressSpace uint64 `json:"address_space,omitempty"`
	// Listen is where its socket is made, host:port. Default: a unix socket in a directory
	// that only this user can enter. A port other than 0 is for one instance.
	Listen string `json:"listen,omitempty"`
	// Backlog is how many connections may wait to be accepted. Default: as many as the
	// system allows.
	Backlog int `json:"backlog,omitempty"`
	// Budget is how many processes may end without having served, before one is started
	// but once in that time and requests are refused: "10 per 10m", the default. "10 per
	// 10m stop" counts those that have served, too, unless they exited with status 0.
	Budget SpawnBudget `json:"budget,omitzero"`

	// Instances is how many processes serve, each on a socket of its own and with Workers
	// workers. Default 1.
	Instances int `json:"instances,omitempty"`
	// MaxInstances is how many there may be when requests wait for long. Default:
	// Instances.
	MaxInstances int `json:"max_instances,omitempty"`
	// StartTimeout is how long one may take to be ready. Default 1 min.
	StartTimeout Duration `json:"start_timeout,omitempty"`
	// Ready is a path, with a query if need be, that an instance answers with a status
	// below 500 when it is ready. Default: it is ready when it has accepted a connection,
	// where the system tells, and else at once.
	Ready string `json:"ready,omitempty"`

	// MaxRequests is how many requests an instance answers before it is replaced. Default:
	// any number.
	MaxRequests int `json:"max_requests,omitempty"`
	// MaxLifetime is how long one lives before it is replaced, up to a tenth less. Default:
	// for ever.
	MaxLifetime Duration `json:"max_lifetime,omitempty"`
	// IdleShutdown is how long there must be no request for the application to be ended,
	// until there is one. Default: it stays.
	IdleShutdown Duration `json:"idle_shutdown,omitempty"`
	// DrainTimeout is how long requests may finish at an instance that is replaced.
	// Default 10 min.
	DrainTimeout Duration `json:"drain_timeout,omitempty"`

	// MemorySoft is how much one may use, in bytes, before it is replaced. Default: no limit.
	MemorySoft uint64 `json:"memory_soft,omitempty"`
	// MemoryHard is how much one may use before it is killed. Default: no limit.
	MemoryHard uint64 `json:"memory_hard,omitempty"`
	// MemoryTotal is how much all of them may use together. Default: no limit.
	MemoryTotal uint64 `json:"memory_total,omitempty"`

	// MaxTime is how long an instance may work on one request before it is replaced.
	// Default: for ever.
	MaxTime Duration `json:"max_time,omitempty"`
	// StallKill is how long the application may answer nobody before it is killed.
	// Default: for ever.
	StallKill Duration `json:"stall_kill,omitempty"`
	// DumpSignal is sent to one that hangs before it is ended, so that it writes its
	// stacks to the log: "QUIT", "USR1". It needs StallKill. Default: none.
	DumpSignal Signal `json:"dump_signal,omitempty"`

	// Quarantine is how long a route is refused that was in flight when processes died
	// three times running. Default: the log names it.
	Quarantine Duration `json:"quarantine,omitempty"`

	// Reexec lets this program run itself once more to set up what can only be set
	// between fork and exec. It must call supervise.Child first thing in main.
	Reexec bool `json:"-"`
}

// normalizeSpawn fills in the numbers of instances, and checks what belongs to a key.
func (c *Config) normalizeSpawn() error {
	if c.Spawn == nil {
		return nil
	}
	s := *c.Spawn // the caller's stays as it is
	c.Spawn = &s
	if len(c.Backends) > 0 {
		return errors.New("backends: given, and so is spawn: the application runs already, or it is to be started")
	}
	if len(s.Command) == 0 || s.Command[0] == "" {
		return errors.New("spawn.command: none given; name the program, and its arguments")
	}
	if err := s.checkNumbers(); err != nil {
		return err
	}
	s.Instances = cmp.Or(s.Instances, 1)
	s.MaxInstances = cmp.Or(s.MaxInstances, s.Instances)
	if s.MaxInstances < s.Instances {
		return fmt.Errorf("spawn.max_instances: is %d, and spawn.instances is %d", s.MaxInstances, s.Instances)
	}
	if err := s.checkListen(); err != nil {
		return err
	}
	if err := s.checkMemory(); err != nil {
		return err
	}
	switch {
	case s.StallKill > 0 && c.Lanes == Off:
		return errors.New("spawn.stall_kill: a plain queue does not notice stalls, and lanes is off")
	case s.DumpSignal != 0 && s.StallKill == 0:
		return errors.New("spawn.dump_signal: means nothing without spawn.stall_kill, which is not set")
	}
	if s.Ready != "" {
		if _, err := url.ParseRequestURI(s.Ready); err != nil || !strings.HasPrefix(s.Ready, "/") {
			return fmt.Errorf("spawn.ready: is %q, want a path beginning with \"/\"", s.Ready)
		}
	}
	return nil
}

func (s *SpawnConfig) checkNumbers() error {
	if s.Nice < -20 || s.Nice > 19 {
		return fmt.Errorf("spawn.nice: is %d, want -20 to 19", s.Nice)
	}
	for _, f := range []struct {
		key   string
		value int
	}{
		{"backlog", s.Backlog},
		{"instances", s.Instances},
		{"max_instances", s.MaxInstances},
		{"max_requests", s.MaxRequests},
		{"budget", s.Budget.Spawns},
	} {
		if f.value < 0 {
			return fmt.Errorf("spawn.%s: is %d, must not be negative", f.key, f.value)
		}
	}
	for _, f := range []struct {
		key   string
		value Duration
	}{
		{"start_timeout", s.StartTimeout},
		{"max_lifetime", s.MaxLifetime},
		{"idle_shutdown", s.IdleShutdown},
		{"drain_timeout", s.DrainTimeout},
		{"max_time", s.MaxTime},
		{"stall_kill", s.StallKill},
		{"quarantine", s.Quarantine},
		{"budget", s.Budget.Per},
	} {
		if f.value < 0 {
			return fmt.Errorf("spawn.%s: must not be negative", f.key)
		}
	}
	return nil
}

func (s *SpawnConfig) checkListen() error {
	if s.Listen == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(s.Listen)
	if err != nil {
		return fmt.Errorf("spawn.listen: is %q, want host:port", s.Listen)
	}
	if port != "0" && s.MaxInstances > 1 {
		return fmt.Errorf("spawn.listen: is %q, which is one socket, and there may be %d instances: port 0 is any that is free", s.Listen, s.MaxInstances)
	}
	return nil
}

// leastMemory is less than any program needs: a limit below it was meant in other units.
const leastMemory = 1 << 20

func (s *SpawnConfig) checkMemory() error {
	for _, f := range []struct {
		key   string
		value uint64
	}{{"memory_soft", s.MemorySoft}, {"memory_hard", s.MemoryHard}, {"memory_total", s.MemoryTotal}} {
		if f.value > 0 && f.value < leastMemory {
			return fmt.Errorf("spawn.%s: is %d bytes, want %d (1 MiB) at least", f.key, f.value, leastMemory)
		}
	}
	switch soft, hard, total := s.MemorySoft, s.MemoryHard, s.MemoryTotal; {
	case hard > 0 && soft >= hard:
		return fmt.Errorf("spawn.memory_soft: is %d, and spawn.memory_hard is %d: must be less, or it never counts", soft, hard)
	case total > 0 && soft >= total:
		return fmt.Errorf("spawn.memory_soft: is %d, and spawn.memory_total is %d: must be less, or it never counts", soft, total)
	case total > 0 && hard > total:
		return fmt.Errorf("spawn.memory_hard: is %d, and spawn.memory_total is %d: must not be more, or it never counts", hard, total)
	}
	return nil
}

// supervise is what the processes are kept by. workers is how many requests each should
// hold at once.
func (s *SpawnConfig) supervise(workers int) supervise.Config {
	c := supervise.Config{
		Command: s.Command, Dir: s.Dir, EnvCopy: s.EnvCopy, User: s.User, Group: s.Group, Nice: s.Nice,
		Limits: supervise.Limits{OpenFiles: s.OpenFiles, Core: s.Core, AddressSpace: s.AddressSpace},
		Listen: s.Listen, Backlog: s.Backlog, Reexec: s.Reexec,
		SpawnBudget: supervise.Budget{Spawns: s.Budget.Spawns, Per: time.Duration(s.Budget.Per), Stop: s.Budget.Stop},
		Instances:   s.Instances, MaxInstances: s.MaxInstances, Workers: workers, StartTimeout: time.Duration(s.StartTimeout),
		MaxRequests: s.MaxRequests, MaxLifetime: time.Duration(s.MaxLifetime),
		IdleShutdown: time.Duration(s.IdleShutdown), DrainTimeout: time.Duration(s.DrainTimeout),
		Memory:  supervise.Memory{Soft: s.MemorySoft, Hard: s.MemoryHard, Total: s.MemoryTotal},
		MaxTime: time.Duration(s.MaxTime), StallKill: time.Duration(s.StallKill), DumpSignal: s.DumpSignal.number(),
		Quarantine: time.Duration(s.Quarantine),
	}
	if s.Umask != nil {
		c.Umask = new(int(*s.Umask))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		c.Env = append(c.Env, name+"="+s.Env[name])
	}
	if strings.HasPrefix(filepath.Base(s.Command[0]), "php") {
		s.forPHP(&c, workers)
	}
	return c
}

// forPHP lets PHP have its own variables, and as many children as there are workers,
// because without being told it serves one request at a time.
func (s *SpawnConfig) forPHP(c *supervise.Config, workers int) {
	const children = "PHP_FCGI_CHILDREN"
	c.EnvCopy = append(slices.Clone(c.EnvCopy), "PHP_FCGI_*", "PHPRC")
	_, given := s.Env[children]
	if _, ours := os.LookupEnv(children); !given && !ours {
		c.Env = append(c.Env, children+"="+strconv.Itoa(workers))
	}
}

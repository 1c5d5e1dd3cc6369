package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge"
)

// commandFlags is what the names of all flags about the command begin with.
const commandFlags = "command-"

// commandOptions are the flags about the command that is started.
type commandOptions struct {
	set *pflag.FlagSet

	dir, user, group, listen string
	env                      envValue
	envCopy                  []string
	umask                    umask
	nice, backlog            int
	openFiles                uint64
	core, addressSpace       optionalSize
	budget                   bridge.SpawnBudget

	instances, maxInstances, maxRequests                  int
	ready                                                 string
	startTimeout, maxLifetime, idleShutdown, drainTimeout duration
	memorySoft, memoryHard, memoryTotal                   optionalSize
	maxTime, stallKill, quarantine                        duration
	dumpSignal                                            bridge.Signal
}

func (o *commandOptions) register(f *pflag.FlagSet) {
	o.set = f
	f.StringVar(&o.dir, commandFlags+"dir", "", "working `DIR` of the command (default the present one, or / if --command-user may not enter that)")
	f.Var(&o.env, commandFlags+"env", "a variable of its environment, `K=V`, which it has from its start; Perl's FCGI replaces its environment at each request: there use --env; may be given several times")
	f.StringArrayVar(&o.envCopy, commandFlags+"env-copy", nil, "`NAME` of a variable it inherits besides PATH, HOME, USER, LOGNAME, LANG, LANGUAGE, LC_*, TZ and TMPDIR; \"TRAC_*\": all that begin so; may be given several times")
	f.StringVar(&o.user, commandFlags+"user", "", "`USER` it runs as, by name or number; only as root, and then it should be given: without it the command runs as root")
	f.StringVar(&o.group, commandFlags+"group", "", "`GROUP` it runs as (default the user's)")
	f.Var(&o.umask, commandFlags+"umask", "its file mode creation mask, `MODE` such as 027")
	f.IntVar(&o.nice, commandFlags+"nice", 0, "its nice value, -20 to 19 (default Sluice's)")
	f.Uint64Var(&o.openFiles, commandFlags+"open-files", 0, "how many files it may have open (default 65536, or what there is)")
	f.Var(&o.core, commandFlags+"core", "the largest core dump, `SIZE`; 0: none (default as it is for Sluice)")
	f.Var(&o.addressSpace, commandFlags+"address-space", "how much each of its processes may map, `SIZE`")
	f.StringVar(&o.listen, commandFlags+"listen", "", "make its socket at `ADDR`, host:port (default a unix socket in a private directory)")
	f.IntVar(&o.backlog, commandFlags+"backlog", 0, "how many connections may wait for it to accept them (default as many as the system allows)")
	f.TextVar(&o.budget, commandFlags+"spawn-budget", bridge.SpawnBudget{}, "how often it may end without having served, `BUDGET`, before it is started but once in that time and requests are refused; \"10 per 10m stop\" counts ends after it has served, too, but none with status 0 (default 10 per 10m)")
	o.registerInstances(f)
	o.registerLimits(f)
}

func (o *commandOptions) registerInstances(f *pflag.FlagSet) {
	f.IntVar(&o.instances, commandFlags+"instances", 1, "how many processes of it serve, each with --workers workers")
	f.IntVar(&o.maxInstances, commandFlags+"max-instances", 0, "how many there may be when requests wait for long (default as many as --command-instances)")
	o.startTimeout = duration(time.Minute)
	f.Var(someDuration{&o.startTimeout}, commandFlags+"start-timeout", "how long one may take to be ready")
	f.StringVar(&o.ready, commandFlags+"ready", "", "`PATH` that one answers with a status below 500 when it is ready (default: when it has accepted a connection)")
	f.IntVar(&o.maxRequests, commandFlags+"max-requests", 0, "how many requests one answers before it is replaced; 0: any number")
	f.Var(&o.maxLifetime, commandFlags+"max-lifetime", "how long one lives before it is replaced, up to a tenth less; 0: for ever")
	f.Var(&o.idleShutdown, commandFlags+"idle-shutdown", "how long there must be no request for it to be ended, until there is one; 0: it stays")
	o.drainTimeout = duration(10 * time.Minute)
	f.Var(someDuration{&o.drainTimeout}, commandFlags+"drain-timeout", "how long requests may finish at one that is replaced")
}

func (o *commandOptions) registerLimits(f *pflag.FlagSet) {
	f.Var(&o.memorySoft, commandFlags+"memory-soft", "how much memory one may use before it is replaced, `SIZE`; 0: no limit")
	f.Var(&o.memoryHard, commandFlags+"memory-hard", "how much before it is killed, `SIZE`; 0: no limit")
	f.Var(&o.memoryTotal, commandFlags+"memory-total", "how much all of them together may use, `SIZE`; 0: no limit")
	f.Var(&o.maxTime, commandFlags+"max-time", "how long one may work on one request before it is replaced; 0: for ever")
	f.Var(&o.stallKill, commandFlags+"stall-kill", "how long it may answer nobody before it is killed; 0: for ever")
	f.TextVar(&o.dumpSignal, commandFlags+"dump-signal", bridge.Signal(0), "`SIGNAL` that one which hangs is sent before it is ended, such as QUIT or USR1, for its stacks to be in the log (default none)")
	f.Var(&o.quarantine, commandFlags+"quarantine", "how long a route is refused that was in flight when it died three times running; 0: it is only told of")
}

// check finds flags about a command that is not there, and numbers for which 0 is the
// default.
func (o *commandOptions) check(command []string) (err error) {
	o.set.Visit(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, commandFlags) && len(command) == 0 && err == nil {
			err = fmt.Errorf("--%s: there is no command to run after \"--\"", f.Name)
		}
	})
	if o.set.Changed(commandFlags+"open-files") && o.openFiles == 0 {
		return errors.Join(err, fmt.Errorf("--%sopen-files 0: want at least 1", commandFlags))
	}
	if o.instances < 1 {
		return errors.Join(err, fmt.Errorf("--%sinstances %d: want at least 1", commandFlags, o.instances))
	}
	return err
}

// spawn is what to run, nil if nothing.
func (o *commandOptions) spawn(command []string) *bridge.SpawnConfig {
	if len(command) == 0 {
		return nil
	}
	return &bridge.SpawnConfig{
		Command: command, Dir: o.dir, Env: o.env, EnvCopy: o.envCopy,
		User: o.user, Group: o.group, Umask: o.umask.value, Nice: o.nice,
		OpenFiles: o.openFiles, Core: o.core.value, AddressSpace: o.addressSpace.bytes(),
		Listen: o.listen, Backlog: o.backlog, Budget: o.budget,
		Instances: o.instances, MaxInstances: o.maxInstances,
		StartTimeout: bridge.Duration(o.startTimeout), Ready: o.ready,
		MaxRequests: o.maxRequests, MaxLifetime: bridge.Duration(o.maxLifetime),
		IdleShutdown: bridge.Duration(o.idleShutdown), DrainTimeout: bridge.Duration(o.drainTimeout),
		MemorySoft: o.memorySoft.bytes(), MemoryHard: o.memoryHard.bytes(), MemoryTotal: o.memoryTotal.bytes(),
		MaxTime: bridge.Duration(o.maxTime), StallKill: bridge.Duration(o.stallKill), DumpSignal: o.dumpSignal,
		Quarantine: bridge.Duration(o.quarantine),
		Reexec:     true,
	}
}

// umask is a flag that need not be given.
type umask struct{ value *bridge.Umask }

func (u *umask) Type() string { return "MODE" }

func (u *umask) String() string {
	if u.value == nil {
		return ""
	}
	return fmt.Sprintf("%03o", *u.value)
}

func (u *umask) Set(text string) error {
	var m bridge.Umask
	if err := m.UnmarshalText([]byte(text)); err != nil {
		return err
	}
	u.value = &m
	return nil
}

// optionalSize is a size that need not be given, and may be 0.
type optionalSize struct{ value *uint64 }

func (s *optionalSize) Type() string { return "SIZE" }

func (s *optionalSize) String() string {
	if s.value == nil {
		return ""
	}
	return (*size)(new(int64(*s.value))).String()
}

func (s *optionalSize) Set(text string) error {
	var n size
	if text != "0" {
		if err := n.Set(text); err != nil {
			return err
		}
	}
	s.value = new(uint64(n))
	return nil
}

// bytes is 0 where it was not given.
func (s *optionalSize) bytes() uint64 {
	if s.value == nil {
		return 0
	}
	return *s.value
}

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge/supervise"
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
	budget                   spawnBudget
}

func (o *commandOptions) register(f *pflag.FlagSet) {
	o.set = f
	f.StringVar(&o.dir, commandFlags+"dir", "", "working `DIR` of the command")
	f.Var(&o.env, commandFlags+"env", "a variable of its environment, `K=V`; may be given several times")
	f.StringArrayVar(&o.envCopy, commandFlags+"env-copy", nil, "`NAME` of a variable it inherits besides PATH, HOME, USER, LOGNAME, LANG, LANGUAGE, LC_*, TZ and TMPDIR; \"TRAC_*\": all that begin so; may be given several times")
	f.StringVar(&o.user, commandFlags+"user", "", "`USER` it runs as, by name or number; only as root")
	f.StringVar(&o.group, commandFlags+"group", "", "`GROUP` it runs as (default the user's)")
	f.Var(&o.umask, commandFlags+"umask", "its file mode creation mask, `MODE` such as 027")
	f.IntVar(&o.nice, commandFlags+"nice", 0, "its nice value, -20 to 19 (default Sluice's)")
	f.Uint64Var(&o.openFiles, commandFlags+"open-files", 0, "how many files it may have open (default 65536, or what there is)")
	f.Var(&o.core, commandFlags+"core", "the largest core dump, `SIZE`; 0: none (default as it is for Sluice)")
	f.Var(&o.addressSpace, commandFlags+"address-space", "how much each of its processes may map, `SIZE`")
	f.StringVar(&o.listen, commandFlags+"listen", "", "make its socket at `ADDR`, host:port (default a unix socket in a private directory)")
	f.IntVar(&o.backlog, commandFlags+"backlog", 0, "how many connections may wait for it to accept them (default as many as the system allows)")
	f.Var(&o.budget, commandFlags+"spawn-budget", "how often it may end without having served, before it is started but once in that time and requests are refused; \"10 per 10m stop\" counts ends after it has served, too (default 10 per 10m)")
}

// check finds flags about a command that is not there.
func (o *commandOptions) check(command []string) (err error) {
	o.set.Visit(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, commandFlags) && len(command) == 0 && err == nil {
			err = fmt.Errorf("--%s: there is no command to run after \"--\"", f.Name)
		}
	})
	if o.set.Changed(commandFlags+"open-files") && o.openFiles == 0 {
		return errors.Join(err, fmt.Errorf("--%sopen-files 0: want at least 1", commandFlags))
	}
	return err
}

// config is what to run. workers is how many requests it should hold at once.
func (o *commandOptions) config(command []string, workers int, log *slog.Logger) supervise.Config {
	c := supervise.Config{
		Command: command, Dir: o.dir, EnvCopy: o.envCopy,
		User: o.user, Group: o.group, Umask: o.umask.value, Nice: o.nice,
		Limits: supervise.Limits{OpenFiles: o.openFiles, Core: o.core.value},
		Listen: o.listen, Backlog: o.backlog,
		SpawnBudget: o.budget.value,
		Reexec:      true, Logger: log,
	}
	if o.addressSpace.value != nil {
		c.Limits.AddressSpace = *o.addressSpace.value
	}
	for k, v := range o.env {
		c.Env = append(c.Env, k+"="+v)
	}
	if strings.HasPrefix(filepath.Base(command[0]), "php") {
		o.forPHP(&c, workers)
	}
	return c
}

// forPHP lets PHP have its own variables, and as many children as there are workers,
// because without being told it serves one request at a time.
func (o *commandOptions) forPHP(c *supervise.Config, workers int) {
	const children = "PHP_FCGI_CHILDREN"
	c.EnvCopy = append(slices.Clone(c.EnvCopy), "PHP_FCGI_*", "PHPRC")
	_, given := o.env[children]
	if _, ours := os.LookupEnv(children); !given && !ours {
		c.Env = append(c.Env, children+"="+strconv.Itoa(workers))
	}
}

// umask is a flag that need not be given, in octal.
type umask struct{ value *int }

func (u *umask) Type() string { return "MODE" }

func (u *umask) String() string {
	if u.value == nil {
		return ""
	}
	return fmt.Sprintf("%03o", *u.value)
}

func (u *umask) Set(text string) error {
	n, err := strconv.ParseUint(text, 8, 9)
	if err != nil {
		return errors.New("not a mask (write 022, 027, 077)")
	}
	u.value = new(int(n))
	return nil
}

// spawnBudget is a flag such as "10 per 10m" or "10 per 10m stop".
type spawnBudget struct{ value supervise.Budget }

func (b *spawnBudget) Type() string { return "BUDGET" }

func (b *spawnBudget) String() string {
	v := b.value
	switch {
	case v.Spawns == 0:
		return ""
	case v.Stop:
		return fmt.Sprintf("%d per %v stop", v.Spawns, v.Per)
	}
	return fmt.Sprintf("%d per %v", v.Spawns, v.Per)
}

func (b *spawnBudget) Set(text string) error {
	limit, stop := strings.CutSuffix(strings.TrimSpace(text), " stop")
	var l addressLimit // of the same form
	if err := l.Set(limit); err != nil {
		return err
	}
	b.value = supervise.Budget{Spawns: l.most, Per: time.Duration(l.per), Stop: stop}
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

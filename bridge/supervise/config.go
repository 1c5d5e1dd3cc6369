package supervise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/events"
	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
)

// Config is what to run, and how. Only Command must be set.
type Config struct {
	// Command is the program and its arguments. The program is looked up in PATH, or,
	// if its name has a slash, from Dir.
	Command []string
	// Dir is the working directory. Default: this process's, or / if User may not enter that.
	Dir string
	// Env holds variables, "KEY=value". They override inherited ones.
	Env []string
	// EnvCopy names variables that are inherited from this process, if it has them; "TRAC_*"
	// means all that begin so. PATH, HOME, USER, LOGNAME, LANG, LANGUAGE, LC_*, TZ and TMPDIR
	// are always inherited, others are not.
	EnvCopy []string

	// User and Group are the user and group to run as, by name or number; HOME, USER
	// and LOGNAME are then that user's. Default: this process's, and Group: those of
	// User. Only root may change them. They need Reexec.
	User, Group string
	// Umask is the file mode creation mask. Default: this process's. It needs Reexec.
	Umask *int
	// Nice is the nice value, -20 to 19. Default 0: this process's. It needs Reexec.
	Nice int
	// Limits are the resource limits of each process. They need Reexec.
	Limits Limits

	// Socket is how a process gets its listening socket. Default: SocketStdin.
	Socket SocketMode
	// Listen is the address of the sockets, host:port; port 0 is any that is free. Default: a
	// unix socket in a directory that only this user can enter, and with SocketPort any port of
	// 127.0.0.1. Every user of the machine can connect to a TCP socket.
	Listen string
	// Backlog is how many connections may wait to be accepted. Default: as many as the
	// system allows.
	Backlog int
	// TempDir is where that directory is made, and where those of killed processes of this
	// program are looked for. Default: os.TempDir.
	TempDir string

	// SpawnBudget is how many processes may end without having served.
	SpawnBudget Budget

	// Reexec starts a process with this process's own program, which sets up what can only be
	// set between fork and exec, and then executes the command. The program must call Child
	// first thing in main. Without Reexec, a command or a working directory whose file system
	// does not answer stops this whole process, because Go's fork waits for them.
	Reexec bool

	// Front sends the requests. Default: none is sent, and instances are not drained.
	Front Front
	// Instances is how many processes serve, each on a socket of its own. Default 1.
	Instances int
	// MaxInstances is how many instances there may be when requests wait. Default: Instances.
	MaxInstances int
	// Workers is how many requests an instance serves at once. Default 1. It is used to decide
	// whether there are more instances than needed.
	Workers int
	// StartTimeout is how long a process may take to be ready. Default 1 minute.
	StartTimeout time.Duration
	// Ready returns nil when an instance answers requests. It is called again and again until
	// it does. Default: a process that inherits its socket is ready when it has accepted a
	// connection or, where the system does not show that, when it runs; one that makes its socket
	// when it can be connected to.
	Ready func(ctx context.Context, addr string) error

	// MaxRequests is how many requests a process answers before it is replaced. Default 0: no
	// limit.
	MaxRequests int
	// MaxLifetime is how long a process runs before it is replaced; up to a tenth less, so that
	// not all are replaced together. Default 0: no limit.
	MaxLifetime time.Duration
	// IdleShutdown is how long there must be no request for all processes to be stopped until
	// there is one. Default 0: they are not stopped.
	IdleShutdown time.Duration
	// DrainTimeout is how long the requests at a process may take that is replaced. Default 10
	// minutes.
	DrainTimeout time.Duration

	// Memory limits what the processes use.
	Memory Memory

	// MaxTime is how long a process may work on one request before it is replaced. Default 0:
	// no limit.
	MaxTime time.Duration
	// StallKill is how long the application may answer no request before its processes are
	// killed. Default 0: no limit.
	StallKill time.Duration
	// DumpSignal is sent to a process that hangs before it is ended, to have its stacks in the
	// log. Default: none.
	DumpSignal syscall.Signal

	// Quarantine is how long a route is refused that was in flight at three crashes in a row.
	// Default 0: it is only logged.
	Quarantine time.Duration

	// Logger receives the output and the exits of the processes. Default: none.
	Logger *slog.Logger
	// Events receives what happens to the processes. Default: nobody is told.
	Events *events.Log
}

// Limits are the resource limits of each process, see setrlimit(2).
type Limits struct {
	// OpenFiles is how many descriptors a process may have. Default: 65536, or the hard limit if
	// that is less and this process is not root's; without Reexec this process's limit.
	OpenFiles uint64
	// Core is the largest core dump, in bytes. Default: this process's limit.
	Core *uint64
	// AddressSpace is how much a process may map, in bytes. Default 0: this process's limit.
	AddressSpace uint64
}

// plan is a Config that was checked and completed.
type plan struct {
	Config
	path    string        // of the program
	environ []string      // of the processes
	account *proc.Account // nil: this process's
}

// socket is what the sockets are to be.
func (p *plan) socket() proc.SocketConfig {
	return proc.SocketConfig{Mode: p.Socket, Addr: p.Listen, Backlog: p.Backlog}
}

// planTimeout is how long it may take to look up a command, its working directory and its user.
const planTimeout = 10 * time.Second

// command is what the children run.
func (p *plan) command() *proc.Command {
	return &proc.Command{
		Path: p.path, Args: p.Command, Dir: p.Dir, Env: p.environ,
		Reexec: p.Reexec, Umask: p.Umask, Nice: p.Nice, Limits: proc.Limits(p.Limits), Account: p.account,
	}
}

// hasFixedPort reports whether only one socket can have the address.
func (p *plan) hasFixedPort() bool {
	_, port, err := net.SplitHostPort(p.Listen)
	return err == nil && port != "0"
}

// plan checks a Config. It does not wait for a file system that does not answer: a goroutine
// does, and ends when that answers.
func (c Config) plan() (*plan, error) {
	var p *plan
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		p, err = c.complete()
	}()
	if !closedWithin(done, planTimeout) {
		return nil, fmt.Errorf("the command, its working directory or its user are not found, nor missed, after %v: does their file system answer?", planTimeout)
	}
	return p, err
}

func (c Config) complete() (*plan, error) {
	p := &plan{Config: c}
	if p.Logger == nil {
		p.Logger = slog.New(slog.DiscardHandler)
	}
	if p.TempDir == "" {
		p.TempDir = os.TempDir()
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	err := p.SpawnBudget.normalize()
	if err == nil {
		err = p.normalize()
	}
	if err != nil {
		return nil, err
	}
	if p.path, err = c.find(); err != nil {
		return nil, err
	}
	if p.account, err = proc.LookUp(c.User, c.Group); err != nil {
		return nil, err
	}
	p.environ, err = c.environment(os.Environ(), p.account)
	return p, err
}

func (c *Config) check() error {
	if len(c.Command) == 0 {
		return errors.New("no command to run")
	}
	if c.Dir != "" {
		if info, err := os.Stat(c.Dir); err != nil {
			return fmt.Errorf("working directory: %w", err)
		} else if !info.IsDir() {
			return fmt.Errorf("working directory %s: is not a directory", c.Dir)
		}
	}
	if c.Umask != nil && (*c.Umask < 0 || *c.Umask > 0o777) {
		return fmt.Errorf("umask %#o: want 0 to 0777", *c.Umask)
	}
	if c.Nice < -20 || c.Nice > 19 {
		return fmt.Errorf("nice %d: want -20 to 19", c.Nice)
	}
	switch {
	case !slices.Contains([]SocketMode{"", SocketStdin, SocketActivation, SocketPort, SocketPath}, c.Socket):
		return fmt.Errorf("socket %q: want stdin, activation, port or path", c.Socket)
	case c.Socket == SocketPath && c.Listen != "":
		return fmt.Errorf("listening address %q: means nothing with a unix socket that the command makes", c.Listen)
	}
	if c.Listen != "" {
		_, port, err := net.SplitHostPort(c.Listen)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return fmt.Errorf("listening address %q: want host:port, with port 0 for any that is free", c.Listen)
		}
	}
	if c.Backlog < 0 {
		return fmt.Errorf("backlog %d: must not be negative", c.Backlog)
	}
	if most := proc.MaxBacklog(); c.Backlog > most {
		return fmt.Errorf("backlog %d: this system allows %d (net.core.somaxconn)", c.Backlog, most)
	}
	if !c.Reexec && (c.User != "" || c.Group != "" || c.Umask != nil || c.Nice != 0 || c.Limits != Limits{}) {
		return errors.New("user, group, umask, nice and limits need Reexec")
	}
	return nil
}

// find is the path of the program.
func (c *Config) find() (string, error) {
	name := c.Command[0]
	var err error
	if strings.ContainsRune(name, filepath.Separator) && !filepath.IsAbs(name) {
		// Made absolute: "./app" and "app" are not the same to LookPath.
		if name, err = filepath.Abs(filepath.Join(c.Dir, name)); err != nil {
			return "", fmt.Errorf("command %q: %w", c.Command[0], err)
		}
	}
	path, err := exec.LookPath(name)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if errors.Is(err, fs.ErrPermission) {
		return "", fmt.Errorf("command %q: %w (is it executable?)", c.Command[0], err)
	}
	if err != nil {
		return "", fmt.Errorf("command %q: %w", c.Command[0], err)
	}
	return path, nil
}

package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/lines"
)

const (
	// A child that ends is started again after backoffMin, doubling up to
	// backoffMax. One that lived for steady starts over from backoffMin.
	backoffMin = 100 * time.Millisecond
	backoffMax = 30 * time.Second
	steady     = 10 * time.Second

	// A first child that ends within probation was started wrongly: its arguments
	// or its configuration are not in order.
	probation = 300 * time.Millisecond

	// lastWords is how long output is waited for when the process group has ended.
	lastWords = 100 * time.Millisecond

	// grace is how long a child has between SIGTERM and SIGKILL.
	grace = 5 * time.Second
)

// Config says what to run.
type Config struct {
	Command []string     // program and arguments; the program is looked up in PATH
	Env     []string     // the child's environment, "KEY=value"; nil: this process's
	Logger  *slog.Logger // receives the child's output and its ends; nil: none
}

// Process is a program that is kept running.
type Process struct {
	cfg    Config
	path   string // of the program
	dir    string // holds the socket; removed by Close
	socket *os.File
	output *os.File // the end children write to
	input  *os.File // the end copyOutput reads from, which closes it

	ended  chan string // gets how the first child ended
	cancel context.CancelFunc
	loop   sync.WaitGroup // run
	reader sync.WaitGroup // copyOutput

	lastExit string // for the log; run's alone

	mu  sync.Mutex
	pid int // of the living child; 0: none
}

// Start makes the socket and starts the program. It fails if the program cannot be
// started this first time, or ends at once.
func Start(cfg Config) (_ *Process, err error) {
	if len(cfg.Command) == 0 {
		return nil, errors.New("no command to run")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Process{cfg: cfg, ended: make(chan string, 1)}
	if p.path, err = exec.LookPath(cfg.Command[0]); err != nil {
		return nil, fmt.Errorf("command %q: %w", cfg.Command[0], err)
	}
	if err := p.listen(); err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		p.closeSocket()
		return nil, fmt.Errorf("pipe for the command's output: %w", err)
	}
	p.output, p.input = write, read
	p.reader.Go(p.copyOutput)

	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	started := make(chan error)
	p.loop.Go(func() { p.run(ctx, started) })
	if err := <-started; err != nil {
		_ = p.Close() // err is what matters
		return nil, fmt.Errorf("command %q: %w", cfg.Command[0], err)
	}
	select {
	case exit := <-p.ended:
		_ = p.Close() // nothing is running
		return nil, fmt.Errorf("command %q ended at once: %s (what it printed is in the log)", cfg.Command[0], exit)
	case <-time.After(probation):
		return p, nil
	}
}

// listen makes the socket. Nobody accepts on it here: the listener is closed
// again, and its descriptor stays for the children.
func (p *Process) listen() error {
	dir, err := os.MkdirTemp("", "sluice-") // mode 0700
	if err != nil {
		return fmt.Errorf("directory for the command's socket: %w", err)
	}
	p.dir = dir
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "app.sock"), Net: "unix"})
	if err != nil {
		p.closeSocket()
		return fmt.Errorf("socket for the command: %w (is TMPDIR too long a path?)", err)
	}
	l.SetUnlinkOnClose(false)
	p.socket, err = l.File()
	_ = l.Close() // the descriptor in p.socket is what counts
	if err != nil {
		p.closeSocket()
		return fmt.Errorf("socket for the command: %w", err)
	}
	return nil
}

func (p *Process) closeSocket() {
	if p.socket != nil {
		_ = p.socket.Close()
	}
	if err := os.RemoveAll(p.dir); err != nil {
		p.cfg.Logger.Error("removing the command's socket failed", "error", err.Error())
	}
}

// Addr is the application's address, as bridge.Config.Backends takes it.
func (p *Process) Addr() string { return "unix:" + filepath.Join(p.dir, "app.sock") }

// Pid returns the living child's process id, 0 if there is none now.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// Close ends the child and its process group, SIGTERM first and SIGKILL after
// grace, and removes the socket. Connections to it must be done with. A descendant
// that left the group lives on.
func (p *Process) Close() error {
	p.cancel()
	p.loop.Wait()
	_ = p.output.Close() // the group is dead, so this is the end of the output
	// Unless a descendant left the group: what it holds open must not keep us.
	_ = p.input.SetReadDeadline(time.Now().Add(lastWords)) // pipes have deadlines
	p.reader.Wait()
	p.closeSocket()
	return nil
}

// run keeps a child alive until ctx ends. started gets the first start's result.
func (p *Process) run(ctx context.Context, started chan<- error) {
	// PR_SET_PDEATHSIG fires when the thread that started the child ends, so the
	// thread must not.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	pause := backoffMin
	for first := true; ; first = false {
		cmd, err := p.start()
		if first {
			started <- err
			if err != nil {
				return
			}
		}
		begun := time.Now()
		if err != nil {
			p.lastExit = "could not be started: " + err.Error()
		} else if !p.watch(ctx, cmd) {
			return
		}
		if first {
			p.ended <- p.lastExit
		}
		if time.Since(begun) >= steady {
			pause = backoffMin
		}
		p.cfg.Logger.Error("the command has ended and will be started again", "command", p.cfg.Command[0],
			"exit", p.lastExit, "lived", time.Since(begun).Round(time.Millisecond), "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, backoffMax)
	}
}

func (p *Process) start() (*exec.Cmd, error) {
	cmd := &exec.Cmd{
		Path: p.path, Args: p.cfg.Command, Env: p.cfg.Env,
		Stdin: p.socket, Stdout: p.output, Stderr: p.output,
		SysProcAttr: childAttr(),
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.pid = cmd.Process.Pid
	p.mu.Unlock()
	p.cfg.Logger.Info("the command is running", "command", p.cfg.Command[0], "pid", cmd.Process.Pid)
	return cmd, nil
}

// watch waits for the child's end and reports whether it ended by itself; if ctx
// ends first, it ends the child.
func (p *Process) watch(ctx context.Context, cmd *exec.Cmd) bool {
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // ProcessState has it all
		close(ended)
	}()
	alone := true
	select {
	case <-ended:
	case <-ctx.Done():
		alone = false
		p.signal(cmd, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(grace):
		}
	}
	p.signal(cmd, syscall.SIGKILL) // whatever of the group is left, children of the child included
	<-ended
	p.lastExit = cmd.ProcessState.String()
	p.mu.Lock()
	p.pid = 0
	p.mu.Unlock()
	return alone
}

// signal signals the child's process group.
func (p *Process) signal(cmd *exec.Cmd, s syscall.Signal) {
	if err := syscall.Kill(-cmd.Process.Pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		p.cfg.Logger.Error("signalling the command failed", "pid", cmd.Process.Pid, "signal", s.String(), "error", err.Error())
	}
}

// copyOutput takes what children write to the log until the last of them and
// Close have closed the other end.
func (p *Process) copyOutput() {
	defer p.input.Close()
	log := lines.NewLog(p.cfg.Logger, "command output")
	defer log.Flush()
	src := log.Source(slog.String("command", p.cfg.Command[0]), slog.Attr{})
	defer src.End()
	buf := make([]byte, 16<<10)
	for {
		n, err := p.input.Read(buf)
		_, _ = src.Write(buf[:n]) // never fails
		if err != nil {
			return
		}
	}
}

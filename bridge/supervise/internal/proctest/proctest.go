//go:build linux

package proctest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Variable has a program that calls Main be such a process. It reads commands from its
// standard input if the value is "stdin"; else the value is the commands, separated by ";", and
// the process carries out the first at once and one more at each SIGUSR1.
const Variable = "SLUICE_TEST_PROCESS"

// cgroupVariable is set where the cgroups are the test's own.
const cgroupVariable = "SLUICE_TEST_CGROUP"

// MiB is 2^20 bytes.
const MiB = 1 << 20

// Process is a process that a test controls.
type Process struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Scanner
}

// Start starts a process that leads a session, and is killed with its group after the test.
func Start(t *testing.T) *Process {
	t.Helper()
	p := &Process{Cmd: exec.Command("/proc/self/exe")}
	p.Env = append(os.Environ(), Variable+"=stdin")
	p.Stderr = os.Stderr
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	var err error
	if p.stdin, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewScanner(out)
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
		_ = p.Wait()
	})
	return p
}

// PID is the process id.
func (p *Process) PID() int { return p.Cmd.Process.Pid }

// Do has the process carry out a command, and reports whether it could.
func (p *Process) Do(command string, args ...any) (answer string, ok bool) {
	if _, err := fmt.Fprintf(p.stdin, command+"\n", args...); err != nil {
		return "", false
	}
	ok = p.stdout.Scan()
	return p.stdout.Text(), ok
}

// Take has the process take bytes of memory.
func (p *Process) Take(t *testing.T, bytes int) {
	t.Helper()
	if _, ok := p.Do("take %d", bytes); !ok {
		t.Fatalf("the process did not get %d bytes: %v", bytes, p.Wait())
	}
}

// Fork has the process start another in its session, and returns the process id.
func (p *Process) Fork(t *testing.T) (pid int) {
	t.Helper()
	return p.fork(t, "fork")
}

// ForkAway has the process start another that leads a session of its own, and returns the
// process id.
func (p *Process) ForkAway(t *testing.T) (pid int) {
	t.Helper()
	return p.fork(t, "fork away")
}

func (p *Process) fork(t *testing.T, command string) (pid int) {
	t.Helper()
	answer, ok := p.Do(command)
	if _, err := fmt.Sscan(answer, &pid); !ok || err != nil {
		t.Fatalf("%s: %q, %v", command, answer, err)
	}
	other, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = other.Kill() // it may have ended
		_ = other.Release()
	})
	return pid
}

// WantKilled waits for the end of a process that was to be killed.
func (p *Process) WantKilled(t *testing.T) {
	t.Helper()
	_ = p.Wait()
	if s, ok := p.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
		t.Errorf("process %d ended with %v, want it killed", p.PID(), p.ProcessState)
	}
}

// NeedCgroups fails a test where the cgroups are not its own.
func NeedCgroups(t *testing.T) {
	t.Helper()
	if os.Getenv(cgroupVariable) == "" {
		t.Fatalf("%s is not set: are these cgroups the test's own?", cgroupVariable)
	}
}

// Main is called first thing in TestMain. It does not return in a Process.
func Main() {
	commands := os.Getenv(Variable)
	switch commands {
	case "":
		return
	case "stdin":
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			fmt.Println(mustDo(in.Text()))
		}
	default:
		next := make(chan os.Signal, 1)
		signal.Notify(next, syscall.SIGUSR1)
		for c := range strings.SplitSeq(commands, ";") {
			fmt.Println(mustDo(c))
			<-next
		}
	}
	os.Exit(0)
}

func mustDo(command string) string {
	answer, err := do(command)
	if err != nil {
		fmt.Fprintln(os.Stderr, "process under test:", err)
		os.Exit(1)
	}
	return answer
}

func do(command string) (answer string, err error) {
	if how, ok := strings.CutPrefix(command, "fork"); ok {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), Variable+"=take 1") // it outlives this one
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: how == " away", Setpgid: how == ""}
		err := cmd.Start()
		return fmt.Sprint(cmd.Process.Pid), err
	}
	if path, ok := strings.CutPrefix(command, "read "); ok {
		return "read", read(path)
	}
	var n int
	if _, err := fmt.Sscanf(command, "take %d", &n); err != nil {
		return "", err
	}
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] = 1
	}
	return "taken", err
}

// read leaves the file open: what was read of a disk is kept in memory for so long.
func read(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY, 0)
	b := make([]byte, 1<<20)
	for n := 1; n > 0 && err == nil; {
		n, err = unix.Read(fd, b)
	}
	return err
}

// IsAlive reports whether a process runs.
func IsAlive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(text), ") ")
	return err == nil && !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}

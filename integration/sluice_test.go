//go:build linux

package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// sluice is a running gate, the real program.
type sluice struct {
	*process
	url string
}

// startSluice runs sluice serve with those flags on a free port.
func startSluice(t testing.TB, args ...string) sluice {
	t.Helper()
	return startGate(t, args)
}

// startSluiceCommand runs sluice serve with those flags and a command that it
// starts as its application.
func startSluiceCommand(t testing.TB, app *exec.Cmd, args ...string) sluice {
	t.Helper()
	for _, kv := range app.Env {
		// It inherits next to nothing from sluice.
		if !slices.Contains(os.Environ(), kv) {
			args = append(args, "--command-env", kv)
		}
	}
	return startGate(t, append(append(args, "--", app.Path), app.Args[1:]...))
}

func startGate(t testing.TB, args []string) sluice {
	t.Helper()
	return startGateIn(t, t.TempDir(), args...)
}

// startGateIn runs sluice serve with its temporary files in dir.
func startGateIn(t testing.TB, dir string, args ...string) sluice {
	t.Helper()
	return startGateAs(t, nil, dir, args...)
}

// startGateAs runs sluice serve by way of a program that becomes it, such as setpriv.
func startGateAs(t testing.TB, by []string, dir string, args ...string) sluice {
	t.Helper()
	argv := slices.Concat(by, []string{
		sluiceBinary(), "serve", "--listen", "127.0.0.1:0", "--status", "127.0.0.1:0", "--access-log", "off",
		"--queue-timeout", patience.String(),
	}, args)
	return runGate(t, dir, argv)
}

// runGate runs a command line of sluice serve with its temporary files in dir.
func runGate(t testing.TB, dir string, argv []string) sluice {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	s := sluice{process: start(t, cmd)}
	t.Cleanup(func() {
		// A gate that is killed cannot end its application, which is in a
		// process group of its own.
		applications := children(t, s.Process.Pid)
		_ = s.Process.Kill()
		<-s.ended
		for _, pid := range applications {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
	})
	eventually(t, "sluice listens", func() error {
		select {
		case <-s.ended:
			t.Fatalf("sluice ended: %v", s.err)
		default:
		}
		m := listening.FindStringSubmatch(s.output.String())
		if m == nil {
			return errNotYet
		}
		s.url = "http://" + m[1]
		return nil
	})
	return s
}

var listening = regexp.MustCompile(`msg=serving listen="?(?:/[^ ,]+, )?(127\.0\.0\.1:\d+)[ ,"]`)

// signal sends a signal to the gate alone.
func (s sluice) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(s.Process.Pid, sig); err != nil {
		t.Fatal(err)
	}
}

// child is the process id of the application that the gate started.
func (s sluice) child(t testing.TB) int {
	t.Helper()
	var pid int
	eventually(t, "sluice has a child", func() error {
		kids := children(t, s.Process.Pid)
		if len(kids) != 1 {
			return fmt.Errorf("children: %v", kids)
		}
		pid = kids[0]
		return nil
	})
	return pid
}

// children lists the processes whose parent is pid.
func children(t testing.TB, pid int) []int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var kids []int
	for _, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // a thread, or all of it, ended meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		for field := range strings.FieldsSeq(string(text)) {
			kid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			kids = append(kids, kid)
		}
	}
	return kids
}

// stat returns a process's group; ok is false if there is no such process. A zombie is none: whoever adopted it may not care for it.
func stat(pid int) (group int, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The name, in parentheses, may hold anything; then state, parent, group.
	_, rest, found := strings.Cut(string(text[bytes.LastIndexByte(text, ')'):]), " ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 3 || fields[0] == "Z" {
		return 0, false
	}
	group, err = strconv.Atoi(fields[2])
	return group, err == nil
}

// wantGone is nil when the process has ended.
func wantGone(pid int) error {
	if _, ok := stat(pid); ok {
		return fmt.Errorf("process %d is still there", pid)
	}
	return nil
}

// wantGroupGone is nil when every process of the group has ended.
func wantGroupGone(t testing.TB, group int) error {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if g, ok := stat(pid); ok && g == group {
			return fmt.Errorf("process %d of group %d is still there", pid, group)
		}
	}
	return nil
}

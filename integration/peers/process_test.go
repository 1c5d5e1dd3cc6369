package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

// fileExists is a readiness check.
func fileExists(path string) func(context.Context) error {
	return func(context.Context) error {
		_, err := os.Stat(path)
		return err
	}
}

func TestStopEndsWhoeverOutlivesTheLeader(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// The leader ends at SIGTERM, the child that holds the pipe ignores it.
	p, err := start("group", dir, []string{"sh", "-c", "(trap '' TERM; exec sleep 600 >fifo) & wait"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	pipe, err := os.Open(fifo) // returns when the child has it open
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if err := pipe.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}

	p.stop()
	if _, err := io.ReadAll(pipe); err != nil {
		t.Errorf("the child still holds the pipe: %v", err)
	}
}

func TestWaitReadyReportsAnEarlyEnd(t *testing.T) {
	p, err := start("broken", t.TempDir(), []string{"sh", "-c", "echo bad config line 3; exit 7"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	err = p.waitReady(t.Context(), func(context.Context) error { return errors.New("refused") })
	if err == nil || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(err.Error(), "bad config line 3") {
		t.Errorf("error %v, want the exit status and the last line of the log", err)
	}
}

func TestWaitReadyGivesUp(t *testing.T) {
	p, err := start("silent", t.TempDir(), []string{"sleep", "600"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	ctx, cancel := context.WithCancel(t.Context())
	refused := errors.New("refused")
	err = p.waitReady(ctx, func(context.Context) error { cancel(); return refused })
	if !errors.Is(err, refused) {
		t.Errorf("error %v, want what readiness last said", err)
	}
}

func TestCPUTimeCountsTheTree(t *testing.T) {
	dir := t.TempDir()
	// One child that has ended, one that lives; each does countable work.
	const work = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"
	p, err := start("tree", dir, []string{"sh", "-c", "(" + work + "); touch one; (" + work + "; touch two; exec sleep 600)"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	var last time.Duration
	for _, name := range []string{"one", "two"} {
		if err := p.waitReady(ctx, fileExists(filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
		got, err := cpuTime(p.cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if got < last+50*time.Millisecond {
			t.Errorf("%v of CPU when %q was there, %v before: a child's work is missing", got, name, last)
		}
		last = got
	}
	if peak, err := peakMemory(p.cmd.Process.Pid); err != nil || peak < 1<<19 {
		t.Errorf("peakMemory = %d, %v; two processes take more", peak, err)
	}

	p.stop()
	if got, err := cpuTime(p.cmd.Process.Pid); err == nil {
		t.Errorf("cpuTime of a process that has ended = %v, want an error", got)
	}
}

func TestDescends(t *testing.T) {
	all := map[int]procfs.ProcStat{
		1:  {PID: 1},
		10: {PID: 10, PPID: 1},
		11: {PID: 11, PPID: 10},
		12: {PID: 12, PPID: 11},
		20: {PID: 20, PPID: 21}, // 20 and 21 are each other's parents
		21: {PID: 21, PPID: 20},
	}
	for pid, want := range map[int]bool{1: false, 10: true, 11: true, 12: true, 20: false} {
		if got := descends(all, all[pid], 10); got != want {
			t.Errorf("descends(%d, 10) = %v, want %v", pid, got, want)
		}
	}
}

func TestInstalledNamesThePackage(t *testing.T) {
	_, err := installed("no-such-server", "no-such-package")(t.Context(), "")
	if !errors.Is(err, errMissing) || !strings.Contains(err.Error(), "apt-get install no-such-package") {
		t.Errorf("error %v, want errMissing and how to install it", err)
	}
	if _, err := exec.LookPath("sh"); err != nil {
		t.Fatal(err)
	}
	if _, err := installed("sh", "dash")(t.Context(), ""); err != nil {
		t.Error(err)
	}
}

func TestReadVersion(t *testing.T) {
	for _, tc := range []struct{ prints, want string }{
		{"nginx version: nginx/1.22.1", "1.22.1"},
		{"v2.11.9 h1:abc=", "2.11.9"},
		{"sluice v0.1.0-dev+5f3a linux/amd64 go1.26.8", "0.1.0-dev+5f3a"},
		{"sluice (devel) linux/amd64 go1.26.8", "(devel)"},
		{"unknown", "unknown"},
	} {
		got, err := readVersion(t.Context(), "echo", []string{tc.prints})
		if err != nil || got != tc.want {
			t.Errorf("%q: got %q, %v; want %q", tc.prints, got, err, tc.want)
		}
	}
}

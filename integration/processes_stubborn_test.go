//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An application that ignores SIGTERM is replaced, and ends with sluice, all the same.
func TestRestartOfOneThatIgnoresSIGTERM(t *testing.T) {
	t.Parallel()
	g := startProcesses(t, account{}, troubled(t, "--ignore-term"))
	before := g.app.pidOf(t, "/pid")
	l := newLoad(t, g.url)
	l.callers(t, 1, func(int, int) question { return l.echo(http.MethodPost, nil) }, func() { g.restart(t) })
	l.wantAllRight(t)
	if err := wantGone(before); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if after := g.awaitChildren(t, 1); after[0] == before {
		t.Errorf("process %d is still there", before)
	}
	begun := time.Now()
	g.end(t)
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("sluice took %v to end", d)
	}
}

// What an application has started ends with it: when it is replaced, when it has died,
// and when sluice ends. Where it has a cgroup that holds for those who have left its
// process group, too.
func TestRestartOfAFamily(t *testing.T) {
	eachAccount(t, func(t *testing.T, who account) {
		g := startProcesses(t, who, troubled(t, "--family"), "--command-memory-hard", "1GiB")
		all := g.hasCgroups(t)
		first := g.family(t, g.app.pidOf(t, "/pid"))
		g.restart(t)
		first.wantGone(t, all)

		second := g.family(t, g.app.pidOf(t, "/pid"))
		kill(t, second.head)
		g.app.untilServed(t)
		second.wantGone(t, all)

		third := g.family(t, g.app.pidOf(t, "/pid"))
		g.end(t)
		third.wantGone(t, all)
	})
}

// family are a process of troubles.py and its children.
type family struct{ head, stayed, left int }

func (g processGate) family(t testing.TB, head int) family {
	t.Helper()
	f := family{head: head}
	eventually(t, "it has its children", func() error {
		f.stayed, f.left = 0, 0
		for _, kid := range children(t, f.head) {
			switch group, _ := stat(kid); group {
			case f.head:
				f.stayed = kid
			case kid:
				f.left = kid
			}
		}
		if f.stayed == 0 || f.left == 0 {
			return fmt.Errorf("it has %+v", f)
		}
		return nil
	})
	t.Cleanup(func() { killGroup(f.left) })
	return f
}

// wantGone waits until all of them are gone, or all but who has left.
func (f family) wantGone(t testing.TB, all bool) {
	t.Helper()
	gone := []int{f.head, f.stayed}
	if all {
		gone = append(gone, f.left)
	}
	for _, pid := range gone {
		eventually(t, fmt.Sprintf("process %d of %+v has ended", pid, f), func() error { return wantGone(pid) })
	}
}

// An application that never accepts anything is named and given up, and nobody waits for
// it longer than it takes to find out.
func TestApplicationThatNeverAccepts(t *testing.T) {
	t.Parallel()
	g := startProcesses(t, account{}, troubled(t, "--deaf", "0"),
		"--command-start-timeout", "700ms", "--command-spawn-budget", "2 per 1h")
	begun := time.Now()
	if o := within(t, "the request", g.app.inBackground(t, http.MethodPost, "/pid")); o.status != http.StatusServiceUnavailable {
		t.Errorf("it got %d, %q, %v", o.status, head(o.body), o.err)
	}
	if d := time.Since(begun); d > 15*time.Second {
		t.Errorf("it got that after %v", d)
	}
	eventually(t, "the log names it, each time", func() error {
		if n := strings.Count(g.output.String(), "it was not ready within the start timeout"); n < 2 {
			return fmt.Errorf("it did %d times", n)
		}
		return nil
	})
	g.refused(t, http.MethodGet, "/pid", http.StatusServiceUnavailable)
	g.awaitChildren(t, 0)
}

// One that accepts no more serves those whose connections it has. Others are told when
// they have waited for as long as they may. Its one connection is kept because the user says
// so: whether it can be is not to be found out without others.
func TestApplicationThatAcceptsNoMore(t *testing.T) {
	t.Parallel()
	gate := newGate(t)
	g := startProcesses(t, account{}, troubled(t, "--deaf", "1"), "--lanes", "off", "--keep-alive", "on", "--first-byte-timeout", "1s")
	g.app.untilServed(t)
	held := g.app.inBackground(t, http.MethodPost, "/stream?n=2&kind=plain&gate="+gate.dir)
	eventually(t, "the first is served", func() error {
		state, err := g.lanes().ask()
		if err == nil && state.Gate.InUse != 1 {
			return errNotYet
		}
		return err
	})
	g.refused(t, http.MethodPost, "/pid", http.StatusGatewayTimeout)
	gate.open(t)
	within(t, "the first", held).want(t, "data: 0\n\ndata: 1\n\n")
}

// kill -9 of sluice, whose application ignores that: the next one ends it, cgroups and
// all.
func TestKilledSluiceLeavesNoProcesses(t *testing.T) {
	eachAccount(t, func(t *testing.T, who account) {
		dir := who.dir(t)
		flags := []string{"--command-instances", "2", "--command-memory-hard", "1GiB"}
		first := startProcessesIn(t, who, dir, troubled(t, "--family", "--ignore-term"), flags...)
		all := first.hasCgroups(t)
		var families []family
		groups := map[string]bool{}
		for _, head := range first.awaitChildren(t, 2) {
			f := first.family(t, head)
			families = append(families, f)
			for _, pid := range []int{f.head, f.left} {
				if path := memoryGroup(t, pid); path != "" && path != memoryGroup(t, os.Getpid()) {
					groups[path] = true
				}
			}
		}
		if (len(groups) > 0) != all {
			t.Errorf("their cgroups are %v", groups)
		}
		if err := first.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-first.ended
		for _, f := range families {
			if wantGone(f.head) == nil {
				t.Fatalf("%+v has not survived: there is nothing to end", f)
			}
		}

		second := startProcessesIn(t, who, dir, troubled(t), flags...)
		second.app.untilServed(t)
		for _, f := range families {
			f.wantGone(t, all)
		}
		for path := range groups {
			eventually(t, path+" is removed", func() error {
				if _, err := os.Stat(path); err == nil {
					return errNotYet
				}
				return nil
			})
		}
		second.end(t)
		if left, err := filepath.Glob(filepath.Join(dir, "sluice-*")); err != nil || len(left) > 0 {
			t.Errorf("directories are left: %v, %v", left, err)
		}
	})
}

// memoryGroup is the directory of the cgroup that bounds a process's memory, "" if there
// is none.
func memoryGroup(t testing.TB, pid int) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		root := "/sys/fs/cgroup/memory"
		switch controllers {
		case "memory":
		case "":
			root = "/sys/fs/cgroup"
		default:
			continue
		}
		dir := filepath.Join(root, path)
		for _, file := range []string{"memory.limit_in_bytes", "memory.max"} {
			if _, err := os.Stat(filepath.Join(dir, file)); err == nil {
				return dir
			}
		}
	}
	return ""
}

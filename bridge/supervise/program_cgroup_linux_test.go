//go:build owncgroups

package supervise

import (
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proctest"
)

// A program that uses too much is killed by the kernel, with all its processes, and started again.
func TestCgroupOfAProgram(t *testing.T) {
	proctest.NeedCgroups(t)
	says := make(saying, 100)
	g, err := Start(t.Context(), Config{
		Command: []string{"/proc/self/exe"}, Env: []string{proctest.Variable + "=fork away;take 104857600"}, Reexec: true,
		Memory: Memory{Hard: 64 * mib}, TempDir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(says, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	first := says.await(t, "the command is running", "pid")
	away := says.await(t, "command output", "line")
	if err := syscall.Kill(first, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	second := says.await(t, "the command is running", "pid")
	if proctest.IsAlive(first) || proctest.IsAlive(away) || !proctest.IsAlive(second) {
		t.Errorf("alive are %v, %v, and the next %v", proctest.IsAlive(first), proctest.IsAlive(away), proctest.IsAlive(second))
	}
	if exits := g.Snapshot().CrashLoop.Exits; len(exits) != 1 || !exits[0].OutOfMemory || exits[0].PID != first {
		t.Errorf("exits are %+v", exits)
	}
	if kind := g.Snapshot().Memory.Kind; kind != "cgroup v2" {
		t.Errorf("kind %q", kind)
	}
	away = says.await(t, "command output", "line")
	if err := g.Close(); err != nil || proctest.IsAlive(second) || proctest.IsAlive(away) {
		t.Errorf("Close: %v, alive are %v, %v", err, proctest.IsAlive(second), proctest.IsAlive(away))
	}
}

// saying gets the lines of a log.
type saying chan string

func (s saying) Write(line []byte) (int, error) {
	s <- string(line)
	return len(line), nil
}

// await waits for a line with a message, and returns the number of a key in it.
func (s saying) await(t *testing.T, message, key string) (n int) {
	t.Helper()
	for line := range s {
		t.Log(strings.TrimSuffix(line, "\n"))
		_, rest, found := strings.Cut(line, " "+key+"=")
		if !found || !strings.Contains(line, message) {
			continue
		}
		if _, err := fmt.Sscan(rest, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	panic("unreachable: nobody closes it")
}

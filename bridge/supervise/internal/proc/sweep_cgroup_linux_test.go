//go:build owncgroups

package proc

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/memlimit"
	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proctest"
)

// The cgroup that a killed process of this program has recorded is removed, and all in it is
// killed, what has left the groups of its children too.
func TestSweepOfCgroups(t *testing.T) {
	proctest.NeedCgroups(t)
	dir := t.TempDir()
	run, err := newRunDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	group := ""
	record := func(cgroup string) error { group = cgroup; return run.recordCgroup(cgroup) }
	all, err := memlimit.New(memlimit.Limits{Hard: 64 * proctest.MiB}, record, slog.New(slog.DiscardHandler))
	if err != nil || all.Kind() != "cgroup v2" {
		t.Fatalf("kind %q, %v", all.Kind(), err)
	}
	meter, err := all.Open("1")
	if err != nil {
		t.Fatal(err)
	}
	p := proctest.Start(t)
	if err := meter.Enter(p.PID()); err != nil {
		t.Fatal(err)
	}
	away := p.ForkAway(t)
	own := filepath.Join(group, "1", "own") // as the application may make one
	if err := errors.Join(os.Mkdir(own, 0o755), os.WriteFile(filepath.Join(own, "cgroup.procs"), []byte(strconv.Itoa(away)), 0)); err != nil {
		t.Fatal(err)
	}

	run.abandon()
	var log bytes.Buffer
	sweep(dir, slog.New(slog.NewTextHandler(&log, nil)))
	p.WantKilled(t)
	if proctest.IsAlive(away) {
		t.Error("a process that had left the group is alive")
	}
	if _, err := os.Stat(group); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", group, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v: %s", left, err, &log)
	}
	if !strings.Contains(log.String(), "had left this behind") {
		t.Errorf("the log says %s", &log)
	}
}

package proc

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/memlimit"
	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proctest"
)

// aChild is a child that runs a shell script, and was not started by Launch.
func aChild(t *testing.T, script string) *Child {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	out := newOutput(log, "sh")
	t.Cleanup(out.close)
	c := &Child{
		output: newReader(), log: log, notify: func() {}, meter: aMeter(t),
		running: make(chan struct{}), exited: make(chan struct{}), reaped: make(chan struct{}),
	}
	write, err := c.output.open()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd = exec.Command("sh", "-c", script)
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.SysProcAttr = write, write, childAttr()
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	out.start(c.output, "app", c.PID())
	if err := c.meter.Enter(c.PID()); err != nil {
		t.Fatal(err)
	}
	return c
}

func aMeter(t *testing.T) memlimit.Meter {
	t.Helper()
	c, err := memlimit.New(memlimit.Limits{}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Open("1")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// While a child that has exited is not reaped, no other process has its id. After that it is not
// signalled.
func TestSignalsReachNobodyElse(t *testing.T) {
	c := aChild(t, "sleep 60 & echo $!")
	c.awaitExit()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.PID()))
	if err != nil || !strings.Contains(string(stat), ") Z ") {
		t.Errorf("the leader was waited for while others of its group live: %s, %v", stat, err)
	}
	close(c.exited)
	c.reap()
	var member int
	if _, err := fmt.Sscan(strings.Join(c.exit.Lines, " "), &member); err != nil || proctest.IsAlive(member) {
		t.Errorf("of its group there is %d, %v", member, err)
	}
	other := proctest.Start(t)
	c.cmd.Process = other.Cmd.Process // as if it had the id now
	c.Kill()
	c.Dump(syscall.SIGQUIT)
	c.Stop(0)
	c.stoppers.Wait()
	if _, ok := other.Do("take 1"); !ok {
		t.Error("another process was signalled")
	}
}

package supervise

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// aChild is a child of no group of ours that runs a shell script, and writes to its
// standard output.
func aChild(t *testing.T, script string) *child {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	out := newOutput(log, "sh")
	t.Cleanup(out.close)
	c := &child{
		output: newReader(), log: log, news: func() {}, meter: openMeter(t, newProcMeters(), "1"),
		running: make(chan struct{}), gone: make(chan struct{}), buried: make(chan struct{}),
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
	out.start(c.output, "app", c.pid())
	if err := c.meter.enter(c.pid()); err != nil {
		t.Fatal(err)
	}
	return c
}

// The id of a child that has died means nobody else until its group is killed, and is
// signalled no more after that.
func TestSignalsReachNobodyElse(t *testing.T) {
	c := aChild(t, "sleep 60 & echo $!")
	c.awaitDeath()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.pid()))
	if err != nil || !strings.Contains(string(stat), ") Z ") {
		t.Errorf("the leader was waited for while others of its group live: %s, %v", stat, err)
	}
	close(c.gone)
	c.bury()
	var member int
	if _, err := fmt.Sscan(strings.Join(c.exit.Lines, " "), &member); err != nil || isAlive(member) {
		t.Errorf("of its group there is %d, %v", member, err)
	}
	other := startHolder(t)
	c.cmd.Process = other.Process // as if it had that id now
	c.kill()
	c.dump(syscall.SIGQUIT)
	c.stop(0)
	c.ending.Wait()
	if _, ok := other.do("take 1"); !ok {
		t.Error("another process was signalled")
	}
}

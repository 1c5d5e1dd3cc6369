package integration

import (
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// A descendant that left the process group holds the output open; Close must not
// wait for it.
func TestDescendantInASessionOfItsOwn(t *testing.T) {
	p, err := supervise.Start(supervise.Config{Command: []string{"sh", "-c", "setsid sleep 30 & exec sleep 60"}})
	if err != nil {
		t.Fatal(err)
	}
	group := p.Pid()
	begun := time.Now()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("Close took %v", d)
	}
	if err := syscall.Kill(-group, 0); err != syscall.ESRCH {
		t.Errorf("the group %d is still there: %v", group, err)
	}
}

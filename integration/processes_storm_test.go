//go:build linux

package integration

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A command that ends at once when sluice starts it is a mistake in how it was given:
// sluice ends, too, and says why.
func TestCommandThatEndsAtOnce(t *testing.T) {
	p := start(t, exec.Command(sluiceBinary(), "serve", "--listen", "127.0.0.1:0", "--status", "off",
		"--", "sh", "-c", "echo no such database >&2; exit 4"))
	var exit *exec.ExitError
	if err := p.wait(t); !errors.As(err, &exit) {
		t.Errorf("sluice ended with %v", err)
	}
	for _, want := range []string{"exit status 4", "no such database"} {
		if !strings.Contains(p.output.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, p.output)
		}
	}
}

// An application that has served, and then does nothing but end at once, is given up for
// as long as its budget says. Who waited for it is told so, as is who comes. When it has
// been mended it serves again, by itself.
func TestApplicationBreaks(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(socketDir(t), "broken")
	g := startProcesses(t, account{}, troubled(t, "--broken", broken), "--command-spawn-budget", "2 per 4s")
	first := g.app.pidOf(t, "/pid")

	write(t, broken, "")
	kill(t, first)
	eventually(t, "it is noticed", func() error {
		if p, _ := g.told(t); p.Instances[0].PID == first {
			return errNotYet
		}
		return nil
	})
	waiting := g.app.inBackground(t, http.MethodPost, "/pid")
	g.logs(t, "requests are refused")
	given := time.Now()
	if o := within(t, "the request that waited", waiting); o.status != http.StatusServiceUnavailable {
		t.Errorf("the request that waited got %d, %q, %v", o.status, head(o.body), o.err)
	}
	if d := time.Since(given); d > 3*time.Second {
		t.Errorf("it was told so after %v", d)
	}
	g.refused(t, http.MethodGet, "/pid", http.StatusServiceUnavailable)
	p, _ := g.told(t)
	if kids := children(t, g.Process.Pid); p.Breaker != "open" || len(kids) > 0 {
		t.Errorf("the breaker is %s, children are %v", p.Breaker, kids)
	}
	if n := strings.Count(g.output.String(), "it is broken"); n < 2 || n > 3 {
		t.Errorf("it was started %d times in vain, want 2:\n%s", n, g.output)
	}

	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	g.app.untilServed(t)
	eventually(t, "the breaker is closed", func() error {
		if p, _ := g.told(t); p.Breaker != "closed" {
			return fmt.Errorf("it is %s", p.Breaker)
		}
		return nil
	})
}

// An application that serves and ends, whatever it is doing, again and again, goes on
// serving: every question is answered, no more processes live than there are instances,
// and what they use is no more than it was in the beginning.
func TestApplicationFlaps(t *testing.T) {
	t.Parallel()
	const life, instances = 1200 * time.Millisecond, 2
	length := lasting(6*time.Second, time.Minute)
	g := startProcesses(t, account{}, troubled(t, "--life", fmt.Sprint(life.Seconds())),
		"--workers", "4", "--command-instances", fmt.Sprint(instances), "--command-spawn-budget", "1 per 1h")
	g.app.untilServed(t)
	alone := g.awaitChildren(t, instances)
	most := instances * (residentOf(alone[0]) + 64<<20) // what becomes a process is sluice first

	stop := make(chan struct{})
	watched := make(chan error, 1)
	go func() { watched <- g.watch(t, stop, instances, most) }()
	l := newLoad(t, g.url)
	l.callers(t, 2, func(_, i int) question {
		pause(t, 25*time.Millisecond)
		return l.echo(http.MethodGet, nil)
	}, func() { pause(t, length) })
	close(stop)
	if err := within(t, "the watch", watched); err != nil {
		t.Error(err)
	}
	l.wantFewCut(t, 2*g.deaths(t)) // there are two callers

	g.logs(t, "a crash loop begins")
	log := g.output.String()
	if deaths := strings.Count(log, "a crash loop begins"); deaths != 1 {
		t.Errorf("the log tells of %d storms", deaths)
	}
	if strings.Contains(log, "requests are refused") {
		t.Error("it was given up")
	}
	p, _ := g.told(t)
	if want := int(length/(2*life)) * instances; !p.Storm.On || p.Breaker != "closed" || p.Storm.Deaths < want {
		t.Errorf("breaker %s, storm %+v, want %d deaths at least", p.Breaker, p.Storm, want)
	}
}

// deaths is how many processes have died.
func (g processGate) deaths(t testing.TB) int {
	t.Helper()
	p, _ := g.told(t)
	return p.Storm.Deaths
}

// watch looks at the processes over and over.
func (g processGate) watch(t testing.TB, stop <-chan struct{}, most int, mostMemory uint64) error {
	for !closed(stop) {
		kids := children(t, g.Process.Pid)
		if len(kids) > most {
			return fmt.Errorf("processes %v live, want %d at most", kids, most)
		}
		sum := uint64(0)
		for _, pid := range kids {
			sum += residentOf(pid)
		}
		if sum > mostMemory {
			return fmt.Errorf("they use %d MiB, want %d at most", sum>>20, mostMemory>>20)
		}
		pause(t, 5*time.Millisecond)
	}
	return nil
}

// residentOf is what a process has in memory, 0 if it is gone.
func residentOf(pid int) uint64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, resident uint64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * uint64(os.Getpagesize())
}

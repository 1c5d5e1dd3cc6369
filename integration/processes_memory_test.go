//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// An application that leaks is replaced when it has become too large, and no request is
// lost by that.
func TestLeakIsReplaced(t *testing.T) {
	eachAccount(t, func(t *testing.T, who account) {
		const soft = 64 << 20
		g := startProcesses(t, who, troubled(t), "--workers", "4",
			"--command-memory-soft", "64MiB", "--command-memory-hard", "512MiB")
		peaks := g.watchPeaks(t)
		lives := g.askUntil(t, 2, "/leak?mb=1&ms=60")
		reached := peaks()
		for _, l := range lives[:len(lives)-1] {
			if got := reached[l.pid]; got < soft*3/4 {
				t.Errorf("process %d was replaced at %d MiB, want about %d", l.pid, got>>20, soft>>20)
			}
			if got := reached[l.pid]; got > 4*soft {
				t.Errorf("process %d was not replaced before %d MiB, want about %d", l.pid, got>>20, soft>>20)
			}
		}
		if log := g.output.String(); strings.Contains(log, "the command has ended") {
			t.Errorf("one has died:\n%s", log)
		}
	})
}

// An application that takes too much memory at once is killed before it has more than it
// may, by the kernel where sluice can have it do that. The log says so, and another
// serves.
func TestLeakIsKilled(t *testing.T) {
	eachAccount(t, func(t *testing.T, who account) {
		const hard = 96 << 20
		g := startProcesses(t, who, troubled(t), "--command-memory-hard", "96MiB")
		before := g.app.pidOf(t, "/pid")
		peaks := g.watchPeaks(t)
		g.refused(t, http.MethodPost, "/leak?mb=1000&ms=10", http.StatusBadGateway)
		g.app.untilServed(t)
		most := uint64(hard)
		if !g.hasCgroups(t) {
			most *= 3 // it is looked at now and then
		}
		if got := peaks()[before]; got < hard/2 || got > most {
			t.Errorf("process %d had %d MiB, want %d at most", before, got>>20, most>>20)
		}
		if err := wantGone(before); err != nil {
			t.Error(err)
		}
		told := false
		for line := range strings.Lines(g.output.String()) {
			told = told || strings.Contains(line, "memory") && strings.Contains(line, strconv.Itoa(before))
		}
		if !told {
			t.Errorf("the log does not say that process %d had taken too much memory:\n%s", before, g.output)
		}
	})
}

// Nothing is started that there is no memory for: where two do not fit, one is ended
// before the next is started. Requests wait, and none is lost.
func TestRestartWithoutRoom(t *testing.T) {
	t.Parallel()
	const total = 130 << 20
	g := startProcesses(t, account{}, troubled(t, "--take", "64"), "--workers", "4", "--command-memory-total", "130MiB")
	g.app.untilServed(t)
	eventually(t, "it is known how much it takes", func() error {
		if p, _ := g.told(t); p.Memory.Used < 64<<20 {
			return fmt.Errorf("%d MiB", p.Memory.Used>>20)
		}
		return nil
	})
	stop, watched := make(chan struct{}), make(chan error, 1)
	go func() { watched <- g.watch(t, stop, 1, total) }()
	l := newLoad(t, g.url)
	l.callers(t, 3, func(_, i int) question {
		return l.echo([]string{http.MethodGet, http.MethodPost}[i%2], nil)
	}, func() {
		for range 2 {
			l.awaitAnswers(t, 50)
			g.restart(t)
		}
		l.awaitAnswers(t, 50)
	})
	close(stop)
	if err := within(t, "the watch", watched); err != nil {
		t.Error(err)
	}
	l.wantAllRight(t)
}

// watchPeaks notes how much memory each child of the gate has had at most, until it is
// asked.
func (g processGate) watchPeaks(t testing.TB) func() map[int]uint64 {
	t.Helper()
	peaks, stop := map[int]uint64{}, make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for !closed(stop) {
			for _, pid := range children(t, g.Process.Pid) {
				peaks[pid] = max(peaks[pid], anonymousOf(pid))
			}
			pause(t, 2*time.Millisecond)
		}
	})
	end := sync.OnceFunc(func() { close(stop); watch.Wait() })
	t.Cleanup(end)
	return func() map[int]uint64 {
		end()
		return peaks
	}
}

var rssAnon = regexp.MustCompile(`RssAnon:\s+(\d+) kB`)

// anonymousOf is how much memory a process has to itself, 0 if it is gone.
func anonymousOf(pid int) uint64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	m := rssAnon.FindSubmatch(status)
	if m == nil {
		return 0 // a zombie
	}
	kib, _ := strconv.ParseUint(string(m[1]), 10, 64) // it is digits
	return kib << 10
}

//go:build linux

package integration

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An application whose threads all wait for a lock is asked where it is stuck, and
// ended, by force if need be. Those it holds are lost with it. Others are answered by the
// next, or told to come back.
func TestHungApplication(t *testing.T) {
	for name, options := range map[string][]string{
		"ends when it is told to": nil,
		"ignores SIGTERM":         {"--ignore-term"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const threads = 8
			g := startProcesses(t, account{}, troubled(t, append(options, "--threads", strconv.Itoa(threads))...), "--workers", strconv.Itoa(threads),
				"--stall-after", "300ms", "--command-stall-kill", "800ms", "--command-dump-signal", "USR1")
			before := g.app.pidOf(t, "/pid")
			readers, leave := g.readers(t)
			jam := g.app.inBackground(t, http.MethodPost, "/jam?s=600")
			g.logs(t, "answers nobody;")
			if o := within(t, "the request that jammed it", jam); o.status != http.StatusBadGateway {
				t.Errorf("the request that jammed it got %d, %q, %v", o.status, head(o.body), o.err)
			}
			g.logs(t, "answers again")
			leave()
			if f := readers.figures(); len(f.failed) > threads {
				f.wantNoneFailed(t, "readers, more than it held")
			}
			if after := g.app.pidOf(t, "/pid"); after == before {
				t.Errorf("process %d still serves", before)
			}
			if err := wantGone(before); err != nil {
				t.Error(err)
			}
			g.wantStacks(t, before, "in jam")
			g.wantStacks(t, before, "in hello")
		})
	}
}

// readers are people who come again and again, of whom the gate knows what they ask for.
// They leave when they are told to, having been answered.
func (g processGate) readers(t testing.TB) (readers *crowd, leave func()) {
	t.Helper()
	hello := func(i int) errand {
		return errand{route: "/hello", cookie: session("trac_session", i%50), answer: "hello\n"}
	}
	readers = newCrowd(t, g.url)
	for i := range 50 {
		readers.goes(t.Context(), time.Now(), hello(i))
	}
	readers.figures().wantAllAnswered(t, "readers")
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for i := range 1 << 30 {
			if sleep(ctx, 20*time.Millisecond) != nil {
				return
			}
			// Not ctx: who has come is to be answered.
			go readers.goes(t.Context(), time.Now(), hello(i))
		}
	}()
	return readers, func() { cancel(); <-gone; g.lanes().awaitIdle(t) }
}

// wantStacks fails unless the log has a line of the stacks that a process wrote.
func (g processGate) wantStacks(t testing.TB, pid int, function string) {
	t.Helper()
	for line := range strings.Lines(g.output.String()) {
		if strings.Contains(line, "troubles.py") && strings.Contains(line, function) && strings.Contains(line, fmt.Sprintf("pid=%d", pid)) {
			return
		}
	}
	t.Errorf("the log has no stack of process %d %s", pid, function)
}

// Without being told to, nothing that hangs is killed: it may well come back.
func TestHungApplicationIsSpared(t *testing.T) {
	t.Parallel()
	g := startProcesses(t, account{}, troubled(t, "--threads", "8"), "--workers", "8", "--stall-after", "200ms")
	before := g.app.pidOf(t, "/pid")
	readers, leave := g.readers(t)
	jam := g.app.inBackground(t, http.MethodPost, "/jam?s=2")
	g.logs(t, "answers nobody;")
	within(t, "the request that jammed it", jam).want(t, fmt.Sprintln(before))
	g.logs(t, "answers again")
	leave()
	readers.figures().wantNoneFailed(t, "readers")
	if after := g.app.pidOf(t, "/pid"); after != before {
		t.Errorf("process %d was replaced by %d", before, after)
	}
}

// One request that takes too long costs the process it is in, and nobody else anything.
func TestMaxTime(t *testing.T) {
	t.Parallel()
	g := startProcesses(t, account{}, troubled(t), "--workers", "4",
		"--command-max-time", "1s", "--command-stall-kill", "1s", "--command-dump-signal", "USR1")
	before := g.app.pidOf(t, "/pid")
	begun := time.Now()
	slow := g.app.inBackground(t, http.MethodPost, "/sleep?s=600")
	l := newLoad(t, g.url)
	l.callers(t, 2, func(_, i int) question {
		pause(t, 5*time.Millisecond)
		return l.echo([]string{http.MethodGet, http.MethodPost}[i%2], nil)
	}, func() {
		if o := within(t, "the slow request", slow); o.status != http.StatusBadGateway {
			t.Errorf("the slow request got %d, %q, %v", o.status, head(o.body), o.err)
		}
	})
	l.wantAllRight(t)
	if d := time.Since(begun); d < time.Second || d > 12*time.Second {
		t.Errorf("it ended after %v, want a second and what replacing takes", d)
	}
	eventually(t, "the process has ended", func() error { return wantGone(before) })
	if after := g.app.pidOf(t, "/pid"); after == before {
		t.Errorf("process %d still serves", before)
	}
	g.wantStacks(t, before, "in sleep")
	g.logs(t, "/sleep")
}

//go:build linux

package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Two thousand tabs poll a libfcgi program of which nothing is said but its workers, and
// pages are asked for. Whatever the program does with kept connections, each poll and each
// page is answered, and no page waits for that to be found out for as long as a second.
func TestCometOfEveryKind(t *testing.T) {
	const workers, tabs, slow = 300, 2000, time.Second
	for name, program := range map[string]struct {
		app  func(testing.TB) *exec.Cmd
		keep string
	}{
		"accept in turn": {func(t testing.TB) *exec.Cmd { return comet(t, "next") }, "off"},
		"accept first":   {func(t testing.TB) *exec.Cmd { return comet(t, "first") }, "off"},
		"accept lock":    {func(t testing.TB) *exec.Cmd { return libfcgiLock(t, workers) }, "off"},
		"threads":        {func(t testing.TB) *exec.Cmd { return libfcgi(t, workers) }, "on"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			gate := watched(t, startSluiceCommand(t, program.app(t), "--workers", fmt.Sprint(workers), "--queue-timeout", "3s", "--slow-log", (slow+jitter).String()))
			pages, polls := newCrowd(t, gate.url), newCrowd(t, gate.url)
			length := lasting(1500*time.Millisecond, 5*time.Second)
			var all sync.WaitGroup
			for i := range tabs {
				poll := errand{route: fmt.Sprintf("/poll?t=poll-%d&ms=%d", i, length.Milliseconds()), cookie: session("trac_session", 1000+i), answer: fmt.Sprintf("poll-%d", i)}
				all.Go(func() {
					_ = sleep(t.Context(), time.Duration(i)*time.Millisecond)
					for wait := polls.goes(t.Context(), time.Now(), poll); wait > 0; wait = polls.goes(t.Context(), time.Now(), poll) {
						_ = sleep(t.Context(), wait)
					}
				})
			}
			pages.come(t.Context(), 10, lasting(12*time.Second, time.Minute), func(i int, _ *rand.Rand) errand {
				return errand{route: fmt.Sprintf("/token?t=page-%d", i), cookie: session("trac_session", i), answer: fmt.Sprintf("page-%d", i)}
			})
			all.Wait()
			got, polled := pages.figures(), polls.figures()
			t.Logf("pages: %v\npolls: %v", got, polled)
			got.wantAllAnswered(t, "pages")
			polled.wantNoneFailed(t, "polls")
			if polled.answered != tabs {
				t.Errorf("%d polls were answered, want %d", polled.answered, tabs)
			}
			if got.p50 > slow/2 {
				t.Errorf("half of the pages took more than %v", got.p50)
			}
			// It is Sluice that says how long: the clock of two thousand clients that have all just
			// connected tells of their machine.
			for line := range strings.Lines(gate.output.String()) {
				if strings.Contains(line, `msg="slow request"`) && strings.Contains(line, "path=/token") {
					t.Errorf("a page took too long: %s", line)
				}
			}
			state, err := gate.ask()
			if err != nil {
				t.Fatal(err)
			}
			in := state.Pool.Instances[0]
			t.Logf("%+v", in)
			if in.KeepAlive != program.keep || (in.KeepAliveWhy == "") != (program.keep == "on") {
				t.Errorf("keep-alive is %s (%s), want %s", in.KeepAlive, in.KeepAliveWhy, program.keep)
			}
		})
	}
}

// Processes of libfcgi's other users, Perl's FCGI here, take kept connections. That is
// found out without any request waiting, and again when they were replaced by a program
// that does not, on the same socket.
func TestKeepAliveIsFoundOutAgain(t *testing.T) {
	checkLeaks(t)
	const quick = 900 * time.Millisecond
	f, addr := listenUnix(t)
	serve := func(app *exec.Cmd) *process {
		app.Stdin = f
		return start(t, app)
	}
	perl := exec.Command(needPerl(t, "FCGI"), testdata(t, "routes.pl"))
	perl.Env = append(os.Environ(), "WORKERS=4")
	lock := libfcgiLock(t, 4)

	first := serve(perl)
	url, b := serveBridge(t, backend{addr: addr, workers: 4}.config())
	s := newSite(t, url)
	ask := func(n int) {
		t.Helper()
		for i := range n {
			begun := time.Now()
			if got := s.get(t, fmt.Sprintf("/token?t=%d", i)); got != fmt.Sprint(i) {
				t.Errorf("got %q, want %d", got, i)
			}
			if d := time.Since(begun); d > quick {
				t.Errorf("a request took %v", d)
			}
		}
	}
	askUntil := func(keepAlive string) {
		t.Helper()
		eventually(t, "keep-alive is "+keepAlive, func() error {
			ask(1)
			if in := b.Snapshot().Pool.Instances[0]; in.KeepAlive != keepAlive {
				return fmt.Errorf("%+v", in)
			}
			return nil
		})
	}
	askUntil("on")
	before := b.Snapshot().Pool.Instances[0].Dials
	ask(20)
	if in := b.Snapshot().Pool.Instances[0]; in.Dials != before {
		t.Errorf("%d connections, %d before: %+v", in.Dials, before, in)
	}

	// The socket stays: nobody is refused, and nothing but the ends of connections tells.
	if err := syscall.Kill(-first.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = first.wait(t) // it was killed
	serve(lock)
	askUntil("off")
	t.Log(b.Snapshot().Pool.Instances[0].KeepAliveWhy)
	ask(20)
	if in := b.Snapshot().Pool.Instances[0]; in.KeepAlive != "off" || in.Idle != 0 {
		t.Errorf("%+v", in)
	}
}

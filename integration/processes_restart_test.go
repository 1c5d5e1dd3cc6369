//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// restarted are applications of three kinds: processes, threads of C, threads of Python.
var restarted = map[string]func(testing.TB) (app *exec.Cmd, be backend){
	"php-cgi": func(t testing.TB) (*exec.Cmd, backend) {
		return phpCGI(t, 4), backend{workers: 4, preset: "php", root: testdata(t, ""), prefix: "/routes.php"}
	},
	"libfcgi": func(t testing.TB) (*exec.Cmd, backend) { return libfcgi(t, 4), backend{workers: 4} },
	"wsgi": func(t testing.TB) (*exec.Cmd, backend) {
		return python(t, "wsgi.py", "--threads", "4"), backend{workers: 4}
	},
}

// Applications are replaced twenty times under load, and no request is lost.
func TestRestartUnderLoad(t *testing.T) {
	const restarts = 20
	for name, command := range restarted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, be := command(t)
			g := startProcesses(t, account{}, app, be.args()...)
			seen := g.restartUnderLoad(t, be, restarts)
			slices.Sort(seen)
			if n := len(slices.Compact(seen)); n != restarts+1 {
				t.Errorf("%d processes were there in turn, want %d", n, restarts+1)
			}
		})
	}
}

// An application at a port of its own cannot be there twice. Requests wait for it.
func TestRestartAtAPort(t *testing.T) {
	t.Parallel()
	app, be := restarted["libfcgi"](t)
	g := startProcesses(t, account{}, app, append(be.args(), "--command-listen", freeAddress(t))...)
	g.restartUnderLoad(t, be, 6)
}

// restartUnderLoad has the application replaced so many times, by POST /restart and by
// SIGUSR2 in turn, while it is asked. It returns the process ids in turn.
func (g processGate) restartUnderLoad(t *testing.T, be backend, restarts int) (seen []int) {
	t.Helper()
	newSite(t, g.url+be.prefix).untilServed(t)
	l := newLoad(t, g.url+be.prefix)
	seen = g.awaitChildren(t, 1)
	l.callers(t, 4, func(caller, i int) question {
		if i%50 == 0 {
			return l.echo(http.MethodPost, l.filler[:300_000])
		}
		return l.echo([]string{http.MethodGet, http.MethodPost}[(caller+i)%2], l.filler[:i%3000])
	}, func() {
		for i := range restarts {
			if i%2 == 0 {
				g.restart(t)
			} else {
				g.restartBySignal(t)
			}
			seen = append(seen, g.awaitChildren(t, 1)...)
			l.awaitAnswers(t, 50)
		}
	})
	l.wantAllRight(t)
	if log := g.output.String(); strings.Contains(log, "a crash loop") {
		t.Error("the log calls it a storm")
	}
	return seen
}

// awaitAnswers waits for so many more.
func (l *load) awaitAnswers(t testing.TB, n int) {
	t.Helper()
	count := func() (sum int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, n := range l.right {
			sum += n
		}
		return sum
	}
	before := count()
	eventually(t, "questions are answered", func() error {
		if count() < before+n {
			return errNotYet
		}
		return nil
	})
}

// Who is in the middle of something when the application is replaced may finish it, and
// meanwhile others are served by the new one.
func TestRestartWaitsForRequests(t *testing.T) {
	t.Parallel()
	gate := newGate(t)
	g := startProcesses(t, account{}, troubled(t), "--workers", "2", "--lanes", "off")
	before := g.app.pidOf(t, "/pid")
	held := g.app.inBackground(t, http.MethodPost, "/hold?gate="+gate.dir)
	gate.entered(t, 1)
	done := make(chan *http.Response, 1)
	go func() {
		resp, _, err := g.status.try(g.status.request(t, http.MethodPost, "/restart", nil))
		if err != nil {
			t.Error(err)
		}
		done <- resp
	}()
	eventually(t, "the new one serves", func() error {
		if pid := g.app.pidOf(t, "/pid"); pid == before {
			return errNotYet
		}
		return nil
	})
	if closed := len(done) > 0; closed {
		t.Error("the restart was done while a request was in flight at the old one")
	}
	gate.pass(t)
	within(t, "the request that was under way", held).want(t, fmt.Sprintln(before))
	if resp := within(t, "the restart", done); resp == nil || resp.StatusCode != http.StatusOK {
		t.Errorf("POST /restart: %v", resp)
	}
	if err := wantGone(before); err != nil {
		t.Error(err)
	}
}

// Who does not finish in time is cut off.
func TestRestartDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	gate := newGate(t)
	g := startProcesses(t, account{}, troubled(t), "--workers", "2", "--command-drain-timeout", "500ms")
	before := g.app.pidOf(t, "/pid")
	held := g.app.inBackground(t, http.MethodPost, "/hold?gate="+gate.dir)
	gate.entered(t, 1)
	g.restart(t)
	if o := within(t, "the request that was under way", held); o.status != http.StatusBadGateway {
		t.Errorf("it got %d, %q, %v", o.status, head(o.body), o.err)
	}
	if err := wantGone(before); err != nil {
		t.Error(err)
	}
}

// A new one that does not become ready does not replace the old one, and whoever asked
// for it is told why.
func TestRestartThatFails(t *testing.T) {
	t.Parallel()
	unready := filepath.Join(socketDir(t), "unready")
	g := startProcesses(t, account{}, troubled(t, "--unready", unready),
		"--command-ready", "/ready", "--command-start-timeout", "1s")
	before := g.app.pidOf(t, "/pid")
	write(t, unready, "")
	l := newLoad(t, g.url)
	l.callers(t, 1, func(int, int) question {
		pause(t, 5*time.Millisecond)
		return l.echo(http.MethodPost, nil)
	}, func() {
		resp, body := g.askRestart(t)
		if resp.StatusCode != http.StatusInternalServerError || !strings.Contains(body, "ready") {
			t.Errorf("POST /restart: %s\n%s", resp.Status, head(body))
		}
	})
	l.wantAllRight(t)
	if kids := g.awaitChildren(t, 1); kids[0] != before || g.app.pidOf(t, "/pid") != before {
		t.Errorf("there is process %v, there was %d", kids, before)
	}
}

// What has not said that it is ready is asked nothing.
func TestReady(t *testing.T) {
	t.Parallel()
	gate := newGate(t)
	g := startProcesses(t, account{}, troubled(t, "--ready", gate.dir), "--command-ready", "/ready", "--lanes", "off")
	gate.entered(t, 1) // it is asked whether it is, and has other threads that could serve
	early := g.app.inBackground(t, http.MethodPost, "/pid")
	eventually(t, "the request waits", func() error {
		state, err := g.lanes().ask()
		if err == nil && state.InFlight != 1 {
			return errNotYet
		}
		return err
	})
	pause(t, 50*time.Millisecond) // that an answer would take less than
	if len(early) > 0 {
		t.Errorf("it was answered before the application was ready: %+v", <-early)
	}
	gate.open(t)
	if o := within(t, "the request", early); o.status != http.StatusOK {
		t.Errorf("it got %d, %q, %v", o.status, head(o.body), o.err)
	}
}

// A restart is not for strangers.
func TestRestartIsRefused(t *testing.T) {
	t.Parallel()
	g := startProcesses(t, account{}, troubled(t))
	before := g.app.pidOf(t, "/pid")
	for what, change := range map[string]func(*http.Request){
		"a GET":            func(r *http.Request) { r.Method = http.MethodGet },
		"another origin":   func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"another site":     func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a name not local": func(r *http.Request) { r.Host = "evil.example" },
	} {
		r := g.status.request(t, http.MethodPost, "/restart", nil)
		change(r)
		if resp, body := g.status.do(t, r); resp.StatusCode < 400 || resp.StatusCode >= 500 {
			t.Errorf("%s: %s\n%s", what, resp.Status, head(body))
		}
	}
	if after := g.app.pidOf(t, "/pid"); after != before {
		t.Errorf("process %d was replaced by %d", before, after)
	}
}
